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

/* Players: all clips of a track run together, sample by sample, and all but one are silent. */
class Player {
  static playing = null;

  constructor(section) {
    this.section = section;
    this.clips = [...section.querySelectorAll(".clip")];
    this.button = section.querySelector(".play");
    this.seek = section.querySelector(".seek");
    this.clock = section.querySelector(".clock");
    this.duration = Number(section.dataset.duration);
    this.transport = new Transport({
      duration: this.duration,
      sampleRate: Number(section.dataset.rate),
      tracks: this.clips.length,
      pieceSeconds: this.duration,
      fetchPiece: async (clip) => decodeBase64(this.clips[clip].dataset.audio),
    });
    this.transport.setLoop({ from: 0, to: this.duration });
    this.transport.onchange = () => this.show();
    this.seek.max = this.duration;
    this.button.addEventListener("click", () => this.toggle());
    this.seek.addEventListener("input", () => this.transport.seek(Number(this.seek.value)));
    for (const clip of this.clips) clip.addEventListener("click", () => this.choose(clip));
    this.choose(this.clips.find((clip) => clip.getAttribute("aria-pressed") === "true") ?? this.clips[0]);
  }

  async toggle() {
    if (this.transport.playing) {
      this.transport.pause();
      return;
    }
    if (Player.playing && Player.playing !== this) Player.playing.transport.close();
    Player.playing = this;
    await this.transport.play();
    this.tick();
  }

  choose(chosen) {
    this.clips.forEach((clip, index) => {
      clip.setAttribute("aria-pressed", String(clip === chosen));
      this.transport.setLevel(index, clip === chosen ? 1 : 0);
    });
  }

  show() {
    const { playing, waiting } = this.transport;
    this.section.dataset.playing = String(playing && !waiting);
    this.button.textContent = playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.draw();
  }

  tick() {
    if (!this.transport.playing) return;
    this.draw();
    requestAnimationFrame(() => this.tick());
  }

  draw() {
    const { position } = this.transport;
    this.seek.value = position;
    this.section.dataset.position = position.toFixed(3);
    this.clock.textContent = `${position.toFixed(1)} s`;
    for (const clip of this.clips) clip.querySelector(".cursor").style.left = `${(100 * position) / this.duration}%`;
  }
}

for (const section of document.querySelectorAll(".listen")) new Player(section);
