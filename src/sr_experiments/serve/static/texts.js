// Texts of the page in its language, and small helpers of the other scripts.

export const setup = JSON.parse(document.getElementById("setup").textContent);

const fill = (template, fields) =>
  template.replace(/\{(\w+)\}/g, (all, name) => (name in fields ? fields[name] : all));

export const say = (key, fields = {}) => fill(setup.texts[key], fields);
// A refusal that the server would send too, by its code.
export const message = (code, fields) => fill(setup.messages[code], fields);
export const time = (seconds) =>
  seconds < 100
    ? say("seconds", { n: Math.max(1, Math.round(seconds)) })
    : say("minutes", { n: Math.round(seconds / 60) });

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
