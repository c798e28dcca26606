// The list of files: uploads, buttons, progress. The server holds the state; this shows it.
import { renderJob, renderUpload, stateText } from "./rows.js";
import { close, open, shown } from "./view.js";
import { message, say, set, setup } from "./texts.js";

const rows = new Map(); // id -> {element, job}
const uploads = new Map(); // id of our own -> {name, size, percent, error, request}
const { language } = setup;
let lost = false;
let referenceOf = null;
let number = 0;
const waiting = [];
let sending = 0;

const at = (id) => document.getElementById(id);

async function ask(path, options = {}) {
  const mark = path.includes("?") ? "&" : "?";
  const answer = await fetch(`../api/${path}${mark}lang=${language}`, options);
  if (answer.status === 204) return null;
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

// ---- uploads

function add(files) {
  for (const file of files) {
    const id = `u${++number}`;
    const error = refusal(file);
    uploads.set(id, { id, name: file.name, percent: 0, error });
    if (error) announce(error);
    else waiting.push([id, file]);
  }
  render();
  next();
}

// The server refuses the same; here it is known before anything is sent.
function refusal(file) {
  const name = file.name.slice(-80);
  const suffix = "." + name.split(".").pop().toLowerCase();
  const { suffixes, megabytes } = setup;
  if (!suffixes.includes(suffix)) return message("upload-type", { ...setup, name });
  if (file.size > 1e6 * megabytes) return message("upload-too-large", { name, megabytes });
  return file.size ? null : message("upload-empty", { name });
}

function next() {
  while (sending < 2 && waiting.length) {
    const [id, file] = waiting.shift();
    if (uploads.has(id)) send(id, file);
  }
}

// XMLHttpRequest, because fetch tells nothing of how far an upload is.
function post(path, file, progress, end) {
  const request = new XMLHttpRequest();
  const name = encodeURIComponent(file.name);
  request.open("POST", `../api/${path}?name=${name}&lang=${language}`);
  request.upload.onprogress = (event) => progress(event.loaded / Math.max(1, event.total));
  const fail = () => end(say("no_connection"));
  request.onerror = fail;
  request.onload = () => {
    let content = {};
    try {
      content = JSON.parse(request.responseText);
    } catch {
      return fail();
    }
    end(request.status < 300 ? null : content.error || say("no_connection"), content);
  };
  request.onabort = () => end(null, null);
  request.send(file);
  return request;
}

function send(id, file) {
  const upload = uploads.get(id);
  sending += 1;
  const progress = (share) => {
    upload.percent = Math.floor(100 * share);
    render();
  };
  upload.request = post("jobs", file, progress, (error, job) => {
    sending -= 1;
    if (error) {
      upload.error = error;
      upload.request = null;
      announce(error);
    } else {
      uploads.delete(id);
      if (job) keep(job);
    }
    render();
    next();
  });
}

function sendReference(id, file) {
  const { job } = rows.get(id) || {};
  if (!job) return;
  post(`jobs/${id}/reference`, file, () => {}, (error, view) => {
    if (view && !error) keep(view);
    const row = rows.get(id);
    if (row && error) {
      row.error = error;
      announce(error);
    }
    render();
    soon();
  });
}

// ---- the list

function keep(job) {
  const row = rows.get(job.id);
  if (row) {
    if (row.job.state !== job.state) {
      row.error = null;
      announce(`${job.name}: ${stateText(job)}`);
      if (job.state !== "done" && shown() === job.id) close();
    }
    row.job = job;
  } else rows.set(job.id, { job, error: null });
}

function announce(text) {
  at("announcement").textContent = text;
}

async function refresh() {
  try {
    const { jobs, speed } = await ask("jobs");
    at("speed").hidden = !speed;
    set(at("speed"), speed || "");
    const there = new Set(jobs.map((job) => job.id));
    for (const id of [...rows.keys()]) if (!there.has(id)) forget(id);
    jobs.forEach(keep);
    lost = false;
  } catch {
    lost = true;
  }
  render();
}

function forget(id) {
  rows.get(id)?.element?.remove();
  rows.delete(id);
  if (shown() === id) close();
}

function busy() {
  return [...rows.values()].some(
    ({ job }) => job.state === "waiting" || job.state === "working" || job.measuring,
  );
}

let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(loop, 0);
}
async function loop() {
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(loop, lost ? 3000 : busy() ? 500 : 5000);
}

function render() {
  const list = at("rows");
  for (const row of rows.values()) renderJob(row);
  for (const upload of uploads.values()) renderUpload(upload);
  const wanted = [...rows.values(), ...uploads.values()].map((row) => row.element);
  for (const element of [...list.children]) if (!wanted.includes(element)) element.remove();
  wanted.forEach((element, place) => {
    if (list.children[place] !== element) list.insertBefore(element, list.children[place] || null);
  });
  at("no-files").hidden = wanted.length > 0;
  const states = [...rows.values()].map(({ job }) => job.state);
  const able = (name, yes) => {
    document.querySelector(`.bar [data-do="${name}"]`).disabled = !yes;
  };
  able("start_all", states.some((state) => state === "ready" || state === "cancelled"));
  able("cancel_all", states.some((state) => state === "waiting" || state === "working") || sending);
  able("remove_all", wanted.length);
  const warning = at("no-connection");
  warning.hidden = !lost;
  set(warning, lost ? say("no_connection") : "");
}

// ---- actions of the visitor

async function act(id, what, options) {
  try {
    const job = await ask(`jobs/${id}${what}`, options);
    if (job) keep(job);
    else forget(id);
  } catch (error) {
    const row = rows.get(id);
    if (row) row.error = error.message;
    announce(error.message);
  }
  render();
  soon();
}

const start = (id) =>
  act(id, "/start", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(chosen()),
  });
const cancel = (id) => act(id, "/cancel", { method: "POST" });
const remove = (id) => act(id, "", { method: "DELETE" });

function drop(id) {
  const upload = uploads.get(id);
  uploads.delete(id);
  upload.request?.abort();
  render();
}

const actions = {
  add: () => at("files").click(),
  start,
  cancel: (id) => (uploads.has(id) ? drop(id) : cancel(id)),
  remove: (id) => (uploads.has(id) ? drop(id) : remove(id)),
  compare: (id) => open(rows.get(id).job),
  reference: (id) => {
    referenceOf = id;
    at("reference").click();
  },
  start_all: () => {
    for (const { job } of rows.values()) {
      if (job.state === "ready" || job.state === "cancelled") start(job.id);
    }
  },
  cancel_all: () => {
    for (const upload of [...uploads.values()]) if (!upload.error) drop(upload.id);
    for (const { job } of rows.values()) {
      if (job.state === "waiting" || job.state === "working") cancel(job.id);
    }
  },
  remove_all: () => {
    [...uploads.keys()].forEach(drop);
    [...rows.keys()].forEach(remove);
  },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do]");
  if (button && !button.disabled) actions[button.dataset.do]?.(button.dataset.id);
});
document.addEventListener("change", (event) => {
  const { id, files } = event.target;
  if (id === "files") add([...files]);
  else if (id === "reference" && files.length) sendReference(referenceOf, files[0]);
  else return;
  event.target.value = ""; // the same file again is a change again
});
// Files are taken wherever they are dropped: a near miss must not replace the page by the file.
const carries = (event) => event.dataTransfer?.types.includes("Files");
let over = 0;
const mark = (yes) => at("dropzone").classList.toggle("over", yes);
document.addEventListener("dragenter", (event) => carries(event) && mark(++over > 0));
document.addEventListener("dragleave", (event) => carries(event) && mark(--over > 0));
document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  over = 0;
  mark(false);
  add([...event.dataTransfer.files]);
});
document.addEventListener("visibilitychange", () => document.hidden || soon());

const settings = at("settings");
function chosen() {
  const form = new FormData(settings);
  return {
    model: form.get("model"),
    scale: form.get("scale"),
    denoise: Number(form.get("denoise")),
    sharpen: Number(form.get("sharpen")),
    keep: form.has("keep"),
  };
}
settings.addEventListener("submit", (event) => event.preventDefault());
settings.addEventListener("input", ({ target }) => {
  if (target.type === "range") set(target.parentElement.querySelector("output"), target.value);
});

document.documentElement.dataset.ready = "yes";
loop();
