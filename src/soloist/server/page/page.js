/* The page: songs go in, jobs are followed, a finished one opens in the mixer. */

import { Mixer, clock, element } from "./mixer.js";

const find = (id) => document.getElementById(id);
const client = (localStorage.soloistClient ??= crypto.randomUUID?.() ?? String(Math.random()).slice(2));
const remembered = () => JSON.parse(localStorage.soloistMix ?? "null");

let offers = [];
let uploadLimit = Infinity;
let pieceSeconds = 5;
let jobs = new Map();
let mixer = null;
let shown = null;
const sending = new Map(); // uploads of this page: key -> {name, part, request}

async function ask(address, options) {
  const answer = await fetch(address, options);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? `${answer.status}`);
  return answer;
}

/* Offers */

function showOffers() {
  const groups = new Map();
  for (const offer of offers) {
    const title = offer.group === "task" ? "By task" : offer.group;
    if (!groups.has(title)) groups.set(title, element("optgroup", { label: title }));
    groups.get(title).append(element("option", { value: offer.name }, offer.title));
  }
  find("offer").replaceChildren(...groups.values());
  if (offers.some((offer) => offer.name === localStorage.soloistOffer)) find("offer").value = localStorage.soloistOffer;
  describeOffer();
}

function describeOffer() {
  const offer = offers.find((each) => each.name === find("offer").value);
  if (!offer) return;
  localStorage.soloistOffer = offer.name;
  const facts = [
    offer.stems.length ? offer.stems.join(", ") : null,
    offer.model && offer.model !== offer.title ? `model ${offer.model}` : null,
    offer.quality || null,
    offer.speed ? `a song of 4 minutes takes about ${clock(240 / offer.speed)}` : null,
    offer.size ? `download of ${offer.size}` : null,
    offer.licence ? `licence: ${offer.licence}` : null,
  ];
  find("about").textContent = facts.filter(Boolean).join(" · ");
}

/* Uploads */

function send(file) {
  const key = crypto.randomUUID?.() ?? String(Math.random());
  const upload = { name: file.name, part: 0, error: "" };
  sending.set(key, upload);
  if (file.size > uploadLimit) {
    upload.error = `larger than ${Math.round(uploadLimit / 1e6)} MB`;
    return showJobs();
  }
  const request = (upload.request = new XMLHttpRequest());
  request.open("POST", `/api/jobs?${new URLSearchParams({ name: file.name, offer: find("offer").value })}`);
  request.setRequestHeader("X-Client", client);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.onprogress = (event) => {
    upload.part = event.loaded / event.total;
    showJobs();
  };
  request.onload = () => {
    if (request.status === 202) sending.delete(key);
    else upload.error = problem(request.responseText) ?? `refused with ${request.status}`;
    showJobs();
  };
  request.onerror = () => {
    upload.error = "the upload broke off";
    showJobs();
  };
  request.send(file);
  showJobs();
}

function problem(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return null;
  }
}

/* Files of what was dropped; a folder is searched. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const found = [];
  const visit = async (entry) => {
    if (entry.isFile) found.push(await new Promise((done, fail) => entry.file(done, fail)));
    else {
      const reader = entry.createReader();
      for (;;) {
        const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!batch.length) break;
        for (const each of batch) await visit(each);
      }
    }
  };
  for (const entry of entries) await visit(entry);
  return found;
}

const isSound = (file) => /^(audio|video)\//.test(file.type) || /\.(wav|flac|mp3|ogg|opus|m4a|aac|aiff?|wma|mp4|mkv|webm|mov|caf|au)$/i.test(file.name);

/* Jobs */

function describe(job) {
  if (job.state === "failed") return job.error;
  if (job.state === "waiting") return `waits, place ${job.place}`;
  if (job.state === "receiving") return "is received";
  if (job.state === "finished") return [`${clock(job.duration)}, ${job.stems.join(", ")}, by ${job.model || "hand"}`, ...job.notes].join(" · ");
  const part = job.duration ? job.done / job.duration : 0;
  const left = part > 0.02 ? ((Date.now() / 1000 - job.started) * (1 - part)) / part : null;
  return left === null ? job.phase : `${job.phase}, about ${clock(left)} left`;
}

function showJobs() {
  const rows = [...sending].map(([key, upload]) => uploadRow(key, upload));
  rows.push(...[...jobs.values()].reverse().map(jobRow));
  find("jobs").replaceChildren(...rows);
  find("nothing").hidden = rows.length > 0;
}

function row(name, state, failed, part, ...buttons) {
  return element(
    "li",
    {},
    element("span", { class: "name" }, name),
    element("span", { class: failed ? "state failed" : "state" }, state),
    element("span", { class: "acts" }, ...buttons),
    part === null ? null : element("progress", { value: part, max: 1, "aria-label": `Progress of ${name}` }),
  );
}

function uploadRow(key, upload) {
  const stop = () => {
    upload.request?.abort();
    sending.delete(key);
    showJobs();
  };
  const title = upload.error ? "Remove" : "Cancel";
  const button = element("button", { type: "button", onclick: stop, "aria-label": `${title} ${upload.name}` }, title);
  return row(upload.name, upload.error || "is sent", Boolean(upload.error), upload.error ? null : upload.part, button);
}

function jobRow(job) {
  const active = ["receiving", "waiting", "running"].includes(job.state);
  const part = job.state === "running" ? (job.duration ? job.done / job.duration : 0) : null;
  const title = active ? "Cancel" : "Delete";
  const remove = element("button", { type: "button", "aria-label": `${title} ${job.name}`, onclick: () => removeJob(job) }, title);
  const open = element("button", { type: "button", "aria-label": `Open ${job.name}`, onclick: () => openJob(job.id) }, "Open");
  const made = row(job.name, describe(job), job.state === "failed", part, ...(job.state === "finished" ? [open] : []), remove);
  made.dataset.job = job.id;
  made.dataset.state = job.state;
  return made;
}

async function removeJob(job) {
  await ask(`/api/jobs/${job.id}`, { method: "DELETE" }).catch((error) => (find("about").textContent = error.message));
  if (shown === job.id) closeJob();
}

/* The mixer */

function openJob(id) {
  const job = jobs.get(id);
  if (!job || job.state !== "finished") return;
  mixer?.close();
  shown = id;
  location.hash = id;
  const root = `/api/jobs/${id}/stems`;
  const stem = (name) => `${root}/${encodeURIComponent(name)}`;
  find("title").textContent = job.name;
  find("facts").textContent = [`${job.sample_rate} Hz`, job.model && `model ${job.model}`, ...job.notes].filter(Boolean).join(" · ");
  find("result").hidden = false;
  const song = {
    name: job.name,
    duration: job.samples / job.sample_rate,
    sampleRate: job.sample_rate,
    samples: job.samples,
    tracks: ["mixture", ...job.stems],
    hasMixture: true,
    pieceSeconds,
    fetchPiece: async (name, piece) => (await ask(`${stem(name)}/pieces/${piece}`)).arrayBuffer(),
    loadPeaks: async (name, zoom) => new Int8Array(await (await ask(`${stem(name)}/peaks/${zoom}`)).arrayBuffer()),
    spectrogram: (name) => `${stem(name)}/spectrogram`,
    worklet: "/parts/pitch_worklet.js",
  };
  mixer = new Mixer(find("mixer"), song, {
    remembered: remembered(),
    onsettings: (settings) => {
      localStorage.soloistMix = JSON.stringify({ ...remembered(), ...settings });
      showTaking(job);
    },
  });
  if (job.preset) mixer.preset(job.preset);
  showTaking(job);
  find("title").focus({ preventScroll: false });
}

function closeJob() {
  mixer?.close();
  mixer = shown = null;
  find("result").hidden = true;
  history.replaceState(null, "", location.pathname);
}

function showTaking(job) {
  const format = find("format").value;
  const root = `/api/jobs/${job.id}`;
  const mix = new URLSearchParams({ format });
  for (const { name, level, pan } of mixer?.audible ?? []) mix.append("track", `${name},${level},${pan}`);
  find("take-mix").href = `${root}/mix?${mix}`;
  find("take-all").href = `${root}/stems.zip?format=${format}`;
  find("take-dj").href = `${root}/stems.mp4`;
  const link = (name) => element("a", { class: "button plain", download: true, href: `${root}/stems/${encodeURIComponent(name)}?format=${format}` }, name);
  find("stems").replaceChildren(...job.stems.map((name) => element("li", {}, link(name))));
}

/* Events */

function follow() {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => {
    const told = JSON.parse(event.data);
    jobs = new Map(told.jobs.map((job) => [job.id, job]));
    find("notices").replaceChildren(...told.notices.map((notice) => element("li", {}, notice)));
    showJobs();
    if (shown && !jobs.has(shown)) closeJob();
    if (!shown && jobs.get(location.hash.slice(1))?.state === "finished") openJob(location.hash.slice(1));
  };
}

function listen() {
  const drop = find("drop");
  for (const input of [find("files"), find("folder")]) {
    input.addEventListener("change", () => {
      const files = [...input.files];
      (input.id === "folder" ? files.filter(isSound) : files).forEach(send);
      input.value = "";
    });
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const files = await filesOf(event.dataTransfer);
    (files.length > 1 ? files.filter(isSound) : files).forEach(send);
  });
  find("offer").addEventListener("change", describeOffer);
  find("format").addEventListener("change", () => shown && showTaking(jobs.get(shown)));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, a");
    const pressing = event.key === " " && event.target.closest("button");
    if (!mixer || typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (mixer.key(event)) event.preventDefault();
  });
}

async function begin() {
  listen();
  const told = await (await ask("/api/offers")).json();
  ({ offers, upload_limit: uploadLimit, piece_seconds: pieceSeconds } = told);
  showOffers();
  follow();
}

begin().catch((error) => (find("about").textContent = error.message));
