/* Mixer: tracks of a song with faders, mute, solo, place, waveforms, loop, speed and keys. */

import { Transport } from "./transport.js";
import { Waveform } from "./waveform.js";

const SPEEDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5];
const LOWEST = -60; // dB at which a fader is silent
const STEP = 5; // seconds of an arrow key
const CLICK = 4; // pixels below which a drag is a click

export const gainOf = (level) => (level <= LOWEST ? 0 : 10 ** (level / 20));

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${String(whole % 60).padStart(2, "0")}`;
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export class Mixer {
  /*
   * song: {name, duration, sampleRate, samples, tracks: [names], pieceSeconds, fetchPiece(name, piece),
   * loadPeaks(name, zoom), spectrogram(name) or null, worklet, hasMixture}. The first track is the mixture if
   * hasMixture. `remembered` is what `settings` gave for another song, or null.
   */
  constructor(place, song, { remembered = null, onsettings = () => {} } = {}) {
    this.song = song;
    this.onsettings = onsettings;
    this.stems = song.tracks.map((name, index) => ({
      name,
      index,
      isMixture: song.hasMixture && index === 0,
      level: 0,
      pan: 0,
      mute: false,
      solo: false,
    }));
    this.mixtureOnly = false;
    this.chosen = song.hasMixture && this.stems.length > 1 ? 1 : 0;
    this.transport = new Transport({
      duration: song.duration,
      sampleRate: song.sampleRate,
      tracks: song.tracks.length,
      pieceSeconds: song.pieceSeconds,
      fetchPiece: (track, piece) => song.fetchPiece(song.tracks[track], piece),
      worklet: song.worklet,
    });
    this.transport.onchange = () => this.showState();
    this.transport.onerror = (error) => (this.message.textContent = `The sound did not come: ${error.message}`);
    this.build(place);
    this.restore(remembered);
    this.hear();
    this.tick = this.tick.bind(this);
    this.frame = requestAnimationFrame(this.tick);
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.transport.close();
    this.root.remove();
  }

  /* Levels, places, mutes and solos by the names of the stems, for the next song. */
  get settings() {
    const kept = {};
    for (const { name, level, pan, mute, solo } of this.stems) kept[name] = { level, pan, mute, solo };
    return kept;
  }

  /* What sounds: name, level in dB and place of each audible track. */
  get audible() {
    return this.stems
      .filter((stem) => this.gain(stem) > 0)
      .map(({ name, level, pan, isMixture }) => ({ name, level: isMixture ? 0 : level, pan: isMixture ? 0 : pan }));
  }

  restore(remembered) {
    for (const stem of this.stems) {
      const kept = remembered?.[stem.name];
      if (kept) Object.assign(stem, { level: kept.level, pan: kept.pan, mute: kept.mute, solo: kept.solo });
    }
    this.showStrips();
  }

  gain(stem) {
    if (stem.isMixture) return this.mixtureOnly || this.stems.length === 1 ? 1 : 0;
    if (this.mixtureOnly) return 0;
    const soloed = this.stems.some((each) => each.solo);
    return stem.mute || (soloed && !stem.solo) ? 0 : gainOf(stem.level);
  }

  hear() {
    for (const stem of this.stems) {
      this.transport.setLevel(stem.index, this.gain(stem));
      this.transport.setPan(stem.index, stem.isMixture ? 0 : stem.pan);
      stem.row?.toggleAttribute("data-silent", this.gain(stem) === 0);
    }
  }

  change(stem, values) {
    Object.assign(stem, values);
    this.hear();
    this.showStrips();
    this.onsettings(this.settings);
  }

  /* Settings for a purpose: the voice quiet for singers, one stem alone or away for players. */
  preset(kind) {
    const voice = this.stems.find((stem) => ["vocals", "voice", "speech"].includes(stem.name));
    for (const stem of this.stems) Object.assign(stem, { level: 0, pan: 0, mute: false, solo: false });
    if (kind === "karaoke" && voice) voice.level = -20;
    if (kind === "without") this.stems[this.chosen].mute = true;
    if (kind === "alone") this.stems[this.chosen].solo = true;
    this.mixtureOnly = false;
    this.change(this.stems[this.chosen], {});
  }

  build(place) {
    this.playButton = element("button", { class: "play", type: "button", "aria-label": "Play", onclick: () => this.toggle() });
    this.seekBar = element("input", {
      class: "seek",
      type: "range",
      min: 0,
      max: this.song.duration,
      step: "any",
      value: 0,
      "aria-label": "Position in the song",
      oninput: () => this.transport.seek(Number(this.seekBar.value)),
    });
    this.timeText = element("span", { class: "clock" }, `0:00 / ${clock(this.song.duration)}`);
    this.mixtureButton = this.switch("Original", "B", () => this.toggleMixture());
    this.loopButton = this.switch("Loop", "L", () => this.toggleLoop());
    this.speedChoice = element(
      "select",
      { "aria-label": "Speed", onchange: () => this.transport.setRate(Number(this.speedChoice.value)) },
      ...SPEEDS.map((speed) => element("option", { value: speed, selected: speed === 1 }, `${speed} ×`)),
    );
    this.message = element("p", { class: "problem", role: "status" });
    const tools = [this.song.hasMixture ? this.mixtureButton : null, this.loopButton, this.speedChoice];
    if (this.song.spectrogram) tools.push((this.pictureButton = this.switch("Spectrogram", "G", () => this.togglePictures())));
    this.root = element(
      "section",
      { class: "mixer", "aria-label": `Mixer of ${this.song.name}` },
      element("div", { class: "transport" }, this.playButton, this.seekBar, this.timeText),
      element("div", { class: "tools" }, ...tools, ...this.presetButtons()),
      element("div", { class: "strips" }, ...this.stems.map((stem) => this.strip(stem))),
      this.message,
    );
    place.append(this.root);
    this.showState();
  }

  switch(title, key, act) {
    return element(
      "button",
      { type: "button", class: "switch", "aria-pressed": "false", "aria-keyshortcuts": key, title: `${title} (${key})`, onclick: act },
      title,
    );
  }

  presetButtons() {
    if (this.stems.length < 3) return [];
    const voice = this.stems.some((stem) => ["vocals", "voice", "speech"].includes(stem.name));
    const kinds = { reset: "All", alone: "Only this", without: "Without this" };
    if (voice) kinds.karaoke = "Karaoke";
    return Object.entries(kinds).map(([kind, title]) =>
      element("button", { type: "button", class: "preset", "data-preset": kind, onclick: () => this.preset(kind) }, title),
    );
  }

  strip(stem) {
    const { name } = stem;
    stem.canvas = element("canvas", { class: "wave", "aria-hidden": "true" });
    stem.picture = element("img", { class: "wave picture", alt: `Spectrogram of ${name}`, hidden: true });
    stem.region = element("span", { class: "region", hidden: true });
    stem.cursor = element("span", { class: "cursor" });
    const view = element("div", { class: "view" }, stem.canvas, stem.picture, stem.region, stem.cursor);
    view.addEventListener("pointerdown", (event) => this.drag(view, event));
    stem.meter = element("span", { class: "meter", "aria-hidden": "true" }, element("i"));
    const controls = stem.isMixture ? [] : this.faders(stem);
    stem.row = element(
      "div",
      { class: `strip c${stem.index % 8}`, "data-track": name, onpointerdown: () => this.choose(stem.index) },
      element("div", { class: "head" }, element("h3", {}, name), stem.meter, ...controls),
      view,
    );
    stem.waveform = new Waveform(stem.canvas, this.song.samples, (zoom) => this.song.loadPeaks(name, zoom));
    return stem.row;
  }

  faders(stem) {
    const { name } = stem;
    stem.muteButton = element("button", {
      type: "button", class: "mute", "aria-pressed": "false", "aria-label": `Mute ${name}`, title: "Mute (M)",
      onclick: () => this.change(stem, { mute: !stem.mute }),
    }, "M");
    stem.soloButton = element("button", {
      type: "button", class: "solo", "aria-pressed": "false", "aria-label": `Solo ${name}`, title: "Solo (S)",
      onclick: () => this.change(stem, { solo: !stem.solo }),
    }, "S");
    stem.fader = element("input", {
      type: "range", class: "level", min: LOWEST, max: 6, step: 0.5, value: 0, "aria-label": `Level of ${name}`,
      oninput: () => this.change(stem, { level: Number(stem.fader.value) }),
      ondblclick: () => this.change(stem, { level: 0 }),
    });
    stem.panner = element("input", {
      type: "range", class: "pan", min: -1, max: 1, step: 0.05, value: 0, "aria-label": `Place of ${name}, left to right`,
      oninput: () => this.change(stem, { pan: Number(stem.panner.value) }),
      ondblclick: () => this.change(stem, { pan: 0 }),
    });
    stem.levelText = element("output", { class: "decibels" });
    return [element("span", { class: "buttons" }, stem.muteButton, stem.soloButton), stem.fader, stem.levelText, stem.panner];
  }

  showStrips() {
    for (const stem of this.stems) {
      if (stem.isMixture) continue;
      stem.muteButton.setAttribute("aria-pressed", stem.mute);
      stem.soloButton.setAttribute("aria-pressed", stem.solo);
      stem.fader.value = stem.level;
      stem.panner.value = stem.pan;
      const text = stem.level <= LOWEST ? "silent" : `${stem.level.toFixed(1)} dB`;
      stem.levelText.textContent = text;
      stem.fader.setAttribute("aria-valuetext", text);
    }
    this.choose(this.chosen);
  }

  choose(index) {
    if (this.stems[index].isMixture && this.stems.length > 1) return;
    this.chosen = index;
    for (const stem of this.stems) stem.row.toggleAttribute("data-chosen", stem.index === index);
  }

  /* A click on a waveform seeks, a drag marks a region that is looped. */
  drag(view, event) {
    const box = view.getBoundingClientRect();
    const seconds = (x) => (this.song.duration * Math.min(box.width, Math.max(0, x - box.left))) / box.width;
    const begin = event.clientX;
    const move = (moved) => {
      if (Math.abs(moved.clientX - begin) >= CLICK) this.mark(seconds(begin), seconds(moved.clientX));
    };
    const end = (ended) => {
      view.removeEventListener("pointermove", move);
      if (Math.abs(ended.clientX - begin) < CLICK) this.transport.seek(seconds(begin));
      else this.setLoop(this.region);
    };
    view.setPointerCapture(event.pointerId);
    view.addEventListener("pointermove", move);
    view.addEventListener("pointerup", end, { once: true });
  }

  mark(one, other) {
    this.region = { from: Math.min(one, other), to: Math.max(one, other) };
    for (const stem of this.stems) {
      stem.region.hidden = false;
      stem.region.style.left = `${(100 * this.region.from) / this.song.duration}%`;
      stem.region.style.width = `${(100 * (this.region.to - this.region.from)) / this.song.duration}%`;
    }
  }

  setLoop(region) {
    this.transport.setLoop(region);
    this.loopButton.setAttribute("aria-pressed", String(this.transport.loop !== null));
    for (const stem of this.stems) stem.region.toggleAttribute("data-on", this.transport.loop !== null);
  }

  toggle() {
    if (this.transport.playing) this.transport.pause();
    else this.transport.play().catch((error) => this.transport.onerror(error));
  }

  toggleLoop() {
    if (!this.region) this.mark(0, this.song.duration);
    this.setLoop(this.transport.loop ? null : this.region);
  }

  toggleMixture() {
    this.mixtureOnly = !this.mixtureOnly;
    this.mixtureButton.setAttribute("aria-pressed", String(this.mixtureOnly));
    this.hear();
  }

  togglePictures() {
    this.pictures = !this.pictures;
    this.pictureButton.setAttribute("aria-pressed", String(this.pictures));
    for (const stem of this.stems) {
      if (this.pictures && !stem.picture.src) stem.picture.src = this.song.spectrogram(stem.name);
      stem.picture.hidden = !this.pictures;
      stem.canvas.hidden = this.pictures;
    }
  }

  showState() {
    const { playing, waiting } = this.transport;
    this.root.dataset.playing = String(playing && !waiting);
    this.playButton.textContent = playing ? (waiting ? "…" : "❚❚") : "▶";
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.draw();
  }

  tick() {
    if (this.transport.playing) this.draw();
    this.frame = requestAnimationFrame(this.tick);
  }

  draw() {
    const { position } = this.transport;
    this.root.dataset.position = position.toFixed(3);
    this.seekBar.value = position;
    this.seekBar.setAttribute("aria-valuetext", clock(position));
    this.timeText.textContent = `${clock(position)} / ${clock(this.song.duration)}`;
    for (const stem of this.stems) {
      stem.cursor.style.left = `${(100 * position) / this.song.duration}%`;
      const level = Math.max(0, 1 + Math.log10(Math.max(1e-6, this.transport.meter(stem.index))) / 3);
      stem.meter.firstChild.style.transform = `scaleX(${level.toFixed(3)})`;
    }
  }

  /* Begin or end the region here. */
  markHere(edge) {
    const region = this.region ?? { from: 0, to: this.song.duration };
    const here = this.transport.position;
    if (edge === "from") this.mark(here, region.to > here ? region.to : this.song.duration);
    else this.mark(region.from < here ? region.from : 0, here);
    if (this.transport.loop) this.setLoop(this.region);
  }

  /* Keys: space, arrows, digits, M, S, B, L, G, [ and ]. True if the key was one of the mixer's. */
  key(event) {
    const acts = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.transport.seek(this.transport.position - STEP),
      ArrowRight: () => this.transport.seek(this.transport.position + STEP),
      Home: () => this.transport.seek(0),
      m: () => this.ofChosen((stem) => ({ mute: !stem.mute })),
      s: () => this.ofChosen((stem) => ({ solo: !stem.solo })),
      ArrowUp: () => this.ofChosen((stem) => ({ level: Math.min(6, stem.level + 1) })),
      ArrowDown: () => this.ofChosen((stem) => ({ level: Math.max(LOWEST, stem.level - 1) })),
      b: () => (this.song.hasMixture ? this.toggleMixture() : null),
      l: () => this.toggleLoop(),
      "[": () => this.markHere("from"),
      "]": () => this.markHere("to"),
      g: () => (this.pictureButton ? this.togglePictures() : null),
    };
    const number = Number(event.key);
    if (number >= 1 && number <= 9) {
      const index = number - 1 + (this.song.hasMixture ? 1 : 0);
      if (index < this.stems.length) this.choose(index);
      return true;
    }
    const act = acts[event.key] ?? acts[event.key.toLowerCase()];
    act?.();
    return act !== undefined;
  }

  ofChosen(values) {
    const stem = this.stems[this.chosen];
    if (!stem.isMixture) this.change(stem, values(stem));
  }
}
