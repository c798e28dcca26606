// Two results beside each other: a slider over an image, a magnifier, two videos in step.
import { make, say } from "./texts.js";

let current = null;
let stop = () => {};
const view = () => document.getElementById("view");

export const shown = () => current;

export function close() {
  stop();
  stop = () => {};
  current = null;
  const section = view();
  section.replaceChildren();
  section.hidden = true;
}

export function open(job) {
  close();
  current = job.id;
  const section = view();
  const url = (which) => `../files/${job.id}/${which}?${job.run}`;
  const shut = make("button", { type: "button", class: "button" }, say("close"));
  const back = document.activeElement;
  shut.onclick = () => {
    close();
    back?.focus();
  };
  const title = say("comparison", { name: job.name });
  section.setAttribute("aria-label", title);
  section.append(make("div", { class: "bar" }, make("h2", {}, title), shut));
  (job.kind === "video" ? videos : images)(section, job, url);
  section.hidden = false;
  section.focus({ preventScroll: true });
  section.scrollIntoView({ block: "nearest" });
}

const caption = (side, text) => make("span", { class: `side ${side}` }, text);

function images(section, job, url) {
  const before = make("img", { src: url("before"), alt: `${job.name}, ${say("before")}` });
  const after = make("img", { src: url("after"), alt: `${job.name}, ${say("after")}` });
  const range = make("input", {
    type: "range", min: "0", max: "100", step: "0.5", value: "50", "aria-label": say("slider"),
  });
  before.className = "top";
  const comparison = make(
    "div", { class: "comparison" }, after, before, make("div", { class: "line" }),
    caption("before", say("before")), caption("after", say("after")),
  );
  const place = () => comparison.style.setProperty("--at", `${range.value}%`);
  range.oninput = place;
  place();
  const box = make("label", { class: "check" }, make("input", { type: "checkbox" }));
  box.append(say("magnifier"));
  const toggle = box.firstChild;
  section.append(comparison, range, make("div", { class: "tools" }, box));
  if (job.cropped) section.append(make("p", { class: "hint" }, say("cropped")));

  // A pointer on the comparison moves the slider, or the magnifier while that is on.
  const lenses = magnifier(comparison, url);
  let held = false;
  const point = (event) => {
    const box = after.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    if (toggle.checked) lenses.move(x, y);
    else if (held) {
      range.value = 100 * x;
      place();
    }
  };
  comparison.onpointerdown = (event) => {
    held = true;
    comparison.setPointerCapture(event.pointerId);
    point(event);
  };
  comparison.onpointermove = point;
  comparison.onpointerup = comparison.onpointercancel = () => (held = false);
  comparison.ondragstart = () => false;
  toggle.onchange = () => {
    comparison.classList.toggle("magnified", toggle.checked);
    if (toggle.checked) {
      section.append(lenses.element);
      lenses.move(0.5, 0.5);
      comparison.tabIndex = 0;
    } else {
      lenses.element.remove();
      comparison.removeAttribute("tabindex");
    }
  };
  comparison.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!toggle.checked || !(event.key in step)) return;
    event.preventDefault();
    lenses.step(...step[event.key]);
  };
}

const ZOOM = 4;

function magnifier(comparison, url) {
  const lens = (which) => {
    const box = make("div", { class: "lens" }, make("img", { src: url(which), alt: "" }));
    const figure = make("figure", {}, box, make("figcaption", {}, say(which)));
    return { box, figure };
  };
  const both = [lens("before"), lens("after")];
  const element = make(
    "div", { class: "lenses" }, ...both.map(({ figure }) => figure),
    make("p", { class: "hint" }, say("magnifier_hint")),
  );
  const spot = make("div", { class: "spot" });
  comparison.append(spot);
  let [x, y] = [0.5, 0.5];
  const clip = (value) => Math.min(1, Math.max(0, value));
  const draw = () => {
    for (const { box } of both) {
      const image = box.firstChild;
      if (!image.naturalWidth) {
        image.onload = draw;
        continue;
      }
      // A pixel of the result is ZOOM pixels of the screen, whatever its own density.
      const zoom = ZOOM / (window.devicePixelRatio > 1.5 ? 2 : 1);
      const width = image.naturalWidth * zoom;
      const height = image.naturalHeight * zoom;
      image.style.width = `${width}px`;
      image.style.left = `${box.clientWidth / 2 - x * width}px`;
      image.style.top = `${box.clientHeight / 2 - y * height}px`;
      spot.style.width = `${(100 * box.clientWidth) / width}%`;
      spot.style.height = `${(100 * box.clientHeight) / height}%`;
    }
    spot.style.left = `${100 * x}%`;
    spot.style.top = `${100 * y}%`;
  };
  return {
    element,
    move(to_x, to_y) {
      [x, y] = [clip(to_x), clip(to_y)];
      draw();
    },
    step(right, down) {
      this.move(x + 0.02 * right, y + 0.02 * down);
    },
  };
}

function videos(section, job, url) {
  const film = (which) =>
    make("video", { src: url(which), muted: "", playsinline: "", preload: "auto",
      "aria-label": `${job.name}, ${say(which)}` });
  const sides = ["before", "after"].map((which) => {
    const video = film(which);
    video.muted = true;
    return { video, figure: make("figure", {}, video, make("figcaption", {}, say(which))) };
  });
  const [before, after] = sides.map(({ video }) => video);
  const play = make("button", { type: "button", class: "button main" }, say("play"));
  const range = make("input", {
    type: "range", min: "0", max: "1", step: "0.001", value: "0", "aria-label": say("position"),
  });
  const hint = make("p", { class: "hint" }, say("first_seconds", { n: 10 }));
  const broken = () => {
    hint.textContent = say("cannot_play");
    play.disabled = true;
  };
  section.append(
    make("div", { class: "videos" }, ...sides.map(({ figure }) => figure)),
    make("div", { class: "play" }, play, range), hint,
  );
  const both = [before, after];
  both.forEach((video) => (video.onerror = () => current === job.id && broken()));
  let moving = 0;
  play.onclick = async () => {
    if (after.paused) {
      if (after.ended) both.forEach((video) => (video.currentTime = 0));
      before.currentTime = after.currentTime;
      await Promise.all(both.map((video) => video.play())).catch(() => {});
    } else both.forEach((video) => video.pause());
  };
  const label = () => (play.textContent = say(after.paused ? "play" : "pause"));
  after.onplay = after.onpause = after.onended = label;
  after.onended = () => {
    before.pause();
    label();
  };
  range.oninput = () => {
    both.forEach((video) => (video.currentTime = range.value * (after.duration || 0)));
  };
  const follow = () => {
    if (after.duration && !after.paused) range.value = after.currentTime / after.duration;
    // One decoder may be slower; two frames are not seen.
    if (!after.paused && Math.abs(before.currentTime - after.currentTime) > 0.08) {
      before.currentTime = after.currentTime;
    }
    moving = requestAnimationFrame(follow);
  };
  follow();
  stop = () => {
    cancelAnimationFrame(moving);
    both.forEach((video) => {
      video.onerror = null;
      video.pause();
      video.removeAttribute("src");
      video.load();
    });
  };
}
