// The list of files: uploads, buttons, progress. The server says what is so; this shows it.
import { renderJob, renderUpload, stateText } from "./rows.js";
import { close, open, shown } from "./view.js";
import { begin, limits, say, set } from "./words.js";

const rows = new Map(); // id -> {element, job}
const uploads = new Map(); // id of our own -> {name, size, percent, error, request}
let language = "en";
let lost = false;
let truthOf = null;
let number = 0;
const waiting = [];
let sending = 0;

const at = (id) => document.getElementById(id);

async function ask(path, options = {}) {
  const mark = path.includes("?") ? "&" : "?";
  const answer = await fetch(`/api/${path}${mark}lang=${language}`, options);
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
  const { suffixes, megabytes } = limits();
  if (!suffixes) return null;
  if (!suffixes.includes(suffix)) return say("r_suffix", { name });
  if (file.size > 1e6 * megabytes) return say("r_bytes", { name, megabytes });
  return file.size ? null : say("r_empty", { name });
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
  request.open("POST", `/api/${path}?name=${name}&lang=${language}`);
  request.upload.onprogress = (event) => progress(event.loaded / Math.max(1, event.total));
  const fail = () => end(say("lost"));
  request.onerror = fail;
  request.onload = () => {
    let content = {};
    try {
      content = JSON.parse(request.responseText);
    } catch {
      return fail();
    }
    end(request.status < 300 ? null : content.error || say("lost"), content);
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

function sendTruth(id, file) {
  const { job } = rows.get(id) || {};
  if (!job) return;
  post(`jobs/${id}/truth`, file, () => {}, (error, view) => {
    if (view && !error) keep(view);
    const row = rows.get(id);
    if (row && error) {
      row.said = error;
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
      row.said = null;
      announce(`${job.name}: ${stateText(job)}`);
      if (job.state !== "done" && shown() === job.id) close();
    }
    row.job = job;
  } else rows.set(job.id, { job, said: null });
}

function announce(text) {
  const region = at("sr-said");
  if (region) region.textContent = text;
}

async function refresh() {
  try {
    const { jobs } = await ask("jobs");
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
  const list = at("sr-rows");
  if (!list) return;
  for (const row of rows.values()) renderJob(row);
  for (const upload of uploads.values()) renderUpload(upload);
  const wanted = [...rows.values(), ...uploads.values()].map((row) => row.element);
  for (const element of [...list.children]) if (!wanted.includes(element)) element.remove();
  wanted.forEach((element, place) => {
    if (list.children[place] !== element) list.insertBefore(element, list.children[place] || null);
  });
  at("sr-none").hidden = wanted.length > 0;
  const states = [...rows.values()].map(({ job }) => job.state);
  const able = (name, yes) => {
    const button = document.querySelector(`.sr-bar [data-do="${name}"]`);
    if (button) button.disabled = !yes;
  };
  able("start_all", states.some((state) => state === "ready" || state === "cancelled"));
  able("cancel_all", states.some((state) => state === "waiting" || state === "working") || sending);
  able("remove_all", wanted.length);
  const said = at("sr-lost");
  said.hidden = !lost;
  set(said, lost ? say("lost") : "");
}

// ---- what a person does

async function act(id, what, options) {
  try {
    const job = await ask(`jobs/${id}${what}`, options);
    if (job) keep(job);
    else forget(id);
  } catch (error) {
    const row = rows.get(id);
    if (row) row.said = error.message;
    announce(error.message);
  }
  render();
  soon();
}

const start = (id) =>
  act(id, "/start", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(window.srSettings || {}),
  });
const cancel = (id) => act(id, "/cancel", { method: "POST" });
const remove = (id) => act(id, "", { method: "DELETE" });

function drop(id) {
  const upload = uploads.get(id);
  uploads.delete(id);
  upload.request?.abort();
  render();
}

const deeds = {
  add: () => at("sr-file").click(),
  start,
  cancel: (id) => (uploads.has(id) ? drop(id) : cancel(id)),
  remove: (id) => (uploads.has(id) ? drop(id) : remove(id)),
  compare: (id) => open(rows.get(id).job),
  truth: (id) => {
    truthOf = id;
    at("sr-truth").click();
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
  if (button && !button.disabled) deeds[button.dataset.do]?.(button.dataset.id);
});
document.addEventListener("change", (event) => {
  const { id, files } = event.target;
  if (id === "sr-file") add([...files]);
  else if (id === "sr-truth" && files.length) sendTruth(truthOf, files[0]);
  else return;
  event.target.value = ""; // the same file again is a change again
});
// Files are taken wherever they are dropped: a near miss must not replace the page by the file.
const carries = (event) => event.dataTransfer?.types.includes("Files");
let over = 0;
const mark = (yes) => at("sr-dropzone")?.classList.toggle("sr-over", yes);
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

// Gradio builds the page some moments after this script is read.
async function wait() {
  const heading = document.querySelector("[data-lang]");
  if (!heading || !at("sr-rows")) return setTimeout(wait, 50);
  language = heading.dataset.lang;
  document.documentElement.lang = language;
  try {
    await begin(language);
  } catch {
    return setTimeout(wait, 2000);
  }
  document.documentElement.dataset.srReady = "yes";
  loop();
}
wait();
