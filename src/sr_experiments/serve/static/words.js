// Words, and small helpers of the other scripts.

let setup = {};

// What the server tells at the start: words, kinds of files, how large they may be.
export async function begin(language) {
  const answer = await fetch(`/words/${language}`);
  setup = await answer.json();
}

export const limits = () => setup;

// The text of a key, its blanks filled in.
export const say = (key, values = {}) =>
  (setup.words?.[key] || "").replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
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
