"use strict";

/* Tables: a click on a heading sorts by its column, a second click the other way round. */
const NO_VALUE = "-";

function value(row, column) {
  const text = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const number = parseFloat(text);
  return text !== "" && !Number.isNaN(Number(text)) ? number : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b);
}

function sortBy(heading) {
  const table = heading.closest("table");
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const column = heading.cellIndex;
  const rows = [...table.tBodies[0].rows];
  const filled = rows.filter((row) => value(row, column) !== NO_VALUE);
  filled.sort((a, b) => (ascending ? 1 : -1) * compare(value(a, column), value(b, column)));
  table.tBodies[0].append(...filled, ...rows.filter((row) => value(row, column) === NO_VALUE));
}

for (const heading of document.querySelectorAll("table.data thead th")) {
  heading.querySelector("button")?.addEventListener("click", () => sortBy(heading));
}

/* Players: all clips of a track run together, sample by sample, and all but one are muted. */
class Player {
  static context = null;
  static playing = null;

  constructor(section) {
    this.section = section;
    this.clips = [...section.querySelectorAll(".clip")];
    this.button = section.querySelector(".play");
    this.seek = section.querySelector(".seek");
    this.clock = section.querySelector(".clock");
    this.offset = 0;
    this.buffers = null;
    this.sources = [];
    this.button.addEventListener("click", () => (this.sources.length ? this.pause() : this.play()));
    this.seek.addEventListener("input", () => this.jump(Number(this.seek.value)));
    for (const clip of this.clips) clip.addEventListener("click", () => this.choose(clip));
  }

  get chosen() {
    return this.clips.findIndex((clip) => clip.getAttribute("aria-pressed") === "true");
  }

  get duration() {
    return this.buffers ? Math.min(...this.buffers.map((buffer) => buffer.duration)) : 0;
  }

  get position() {
    if (!this.sources.length) return this.offset;
    return (this.offset + Player.context.currentTime - this.started) % this.duration;
  }

  async load() {
    Player.context ??= new AudioContext();
    await Player.context.resume();
    const decode = (clip) => {
      const text = atob(clip.dataset.audio);
      return Player.context.decodeAudioData(Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer);
    };
    this.buffers ??= await Promise.all(this.clips.map(decode));
    this.seek.max = this.duration;
  }

  async play() {
    this.button.disabled = true;
    try {
      await this.load();
    } finally {
      this.button.disabled = false;
    }
    if (Player.playing && Player.playing !== this) Player.playing.pause();
    Player.playing = this;
    const context = Player.context;
    this.started = context.currentTime + 0.03;
    this.gains = this.buffers.map(() => new GainNode(context, { gain: 0 }));
    this.sources = this.buffers.map((buffer, index) => {
      const source = new AudioBufferSourceNode(context, { buffer, loop: true, loopEnd: this.duration });
      source.connect(this.gains[index]).connect(context.destination);
      source.start(this.started, this.offset);
      return source;
    });
    this.hear();
    this.show(true);
    this.tick();
  }

  pause() {
    this.offset = this.position;
    for (const source of this.sources) source.stop();
    this.sources = [];
    this.show(false);
  }

  jump(seconds) {
    const running = this.sources.length > 0;
    if (running) this.pause();
    this.offset = seconds;
    if (running) this.play();
    else this.draw();
  }

  choose(clip) {
    for (const other of this.clips) other.setAttribute("aria-pressed", String(other === clip));
    this.hear();
  }

  hear() {
    if (!this.sources.length) return;
    const now = Player.context.currentTime;
    this.gains.forEach((gain, index) => gain.gain.setTargetAtTime(index === this.chosen ? 1 : 0, now, 0.005));
  }

  show(playing) {
    this.section.dataset.playing = String(playing);
    this.button.textContent = playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  tick() {
    if (!this.sources.length) return;
    this.draw();
    requestAnimationFrame(() => this.tick());
  }

  draw() {
    const position = Math.max(0, this.position);
    this.seek.value = position;
    this.section.dataset.position = position.toFixed(3);
    this.clock.textContent = `${position.toFixed(1)} s`;
    const part = this.duration ? (100 * position) / this.duration : 0;
    for (const clip of this.clips) clip.querySelector(".cursor").style.left = `${part}%`;
  }
}

for (const section of document.querySelectorAll(".listen")) new Player(section);
