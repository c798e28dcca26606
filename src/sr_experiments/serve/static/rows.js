// One row of the list: a file while it is uploaded, and then its job.
import { make, say, set, time } from "./texts.js";

export function stateText(job) {
  const percent = Math.floor(100 * job.share);
  switch (job.state) {
    case "waiting":
      return say("waiting", { ahead: job.ahead });
    case "working": {
      const left = job.seconds_left === null ? "" : ", " + say("time_left", { time: time(job.seconds_left) });
      return say("working", { percent }) + left;
    }
    case "done":
      return say("done", { time: time(job.took) });
    default:
      return say(job.state);
  }
}

function skeleton(id) {
  const button = (key, extra = "") =>
    make("button", { type: "button", class: `button ${extra}`, "data-do": key, "data-id": id });
  const element = make(
    "li",
    { class: "row", "data-id": id },
    make("div", { class: "thumb", "aria-hidden": "true" }),
    make(
      "div",
      { class: "what" },
      make("div", { class: "name" }),
      make("div", { class: "state" }),
      make("progress", { max: "100", value: "0" }),
      make("div", { class: "more" }),
    ),
    make(
      "div",
      { class: "buttons" },
      button("start", "main"),
      button("compare", "main"),
      make("a", { class: "button", "data-is": "download" }),
      button("reference"),
      button("cancel"),
      button("remove"),
    ),
  );
  return element;
}

function show(element, name, visible, text, label) {
  const found = element.querySelector(`[data-do="${name}"],[data-is="${name}"]`);
  if (found.hidden === visible) {
    const had = document.activeElement === found;
    found.hidden = !visible;
    // Who works by keyboard is not thrown back to the top when a button goes.
    if (had && !visible) element.querySelector(".buttons > :not([hidden])")?.focus();
  }
  set(found, text);
  if (found.getAttribute("aria-label") !== label) found.setAttribute("aria-label", label);
  return found;
}

function thumb(element, job) {
  const box = element.querySelector(".thumb");
  if (box.childNodes.length) return;
  if (job.kind === "video") box.append(make("span", {}, job.name.split(".").pop().toUpperCase()));
  else box.append(make("img", { src: `../files/${job.id}/source`, alt: "", loading: "lazy" }));
}

export function renderJob(row) {
  const { job } = row;
  row.element ||= skeleton(job.id);
  const element = row.element;
  element.dataset.state = job.state;
  thumb(element, job);
  set(element.querySelector(".name"), job.name);
  const bar = element.querySelector("progress");
  bar.hidden = job.state !== "working";
  bar.value = 100 * job.share;
  bar.setAttribute("aria-label", job.name);
  const size = `${job.width}\u00d7${job.height}`;
  const choice = job.model ? `, ${job.model} \u00d7${job.scale}` : "";
  set(element.querySelector(".state"), `${stateText(job)} \u00b7 ${size}${choice}`);
  const lines = [job.failure, row.error, job.reference_failure, ...job.notes];
  if (job.measuring) lines.push(say("measuring"));
  if (job.scores) lines.push(say("scores", job.scores));
  set(element.querySelector(".more"), lines.filter(Boolean).join("\n"));
  const idle = !["waiting", "working"].includes(job.state) && !job.measuring;
  const name = job.name;
  show(element, "start", idle, say(job.state === "ready" ? "start" : "again"), `${say("start")}: ${name}`)
    .classList.toggle("main", job.state === "ready");
  const done = job.state === "done";
  show(element, "compare", done, say("compare"), `${say("compare")}: ${name}`);
  const link = show(element, "download", done, say("download"), `${say("download")}: ${name}`);
  if (done) {
    link.href = `../files/${job.id}/result?${job.run}`;
    link.download = job.download;
  } else link.removeAttribute("href");
  const measurable = idle && job.kind === "image";
  show(element, "reference", measurable, say("reference"), `${say("reference")}: ${name}`).title = say("reference_hint");
  show(element, "cancel", !idle && !job.measuring, say("cancel"), `${say("cancel")}: ${name}`);
  show(element, "remove", true, say("remove"), `${say("remove")}: ${name}`);
}

export function renderUpload(upload) {
  upload.element ||= skeleton(upload.id);
  const element = upload.element;
  element.dataset.state = upload.error ? "failed" : "uploading";
  set(element.querySelector(".name"), upload.name.slice(0, 80));
  const percent = upload.percent;
  const state = percent >= 100 ? say("checking") : say("uploading", { percent });
  set(element.querySelector(".state"), upload.error ? say("failed") : state);
  set(element.querySelector(".more"), upload.error || "");
  const bar = element.querySelector("progress");
  bar.hidden = Boolean(upload.error);
  bar.value = percent;
  bar.setAttribute("aria-label", upload.name);
  for (const name of ["start", "compare", "download", "reference"]) show(element, name, false, "", "");
  show(element, "cancel", !upload.error, say("cancel"), `${say("cancel")}: ${upload.name}`);
  show(element, "remove", Boolean(upload.error), say("remove"), `${say("remove")}: ${upload.name}`);
}
