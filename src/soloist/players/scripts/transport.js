/* Transport: plays several tracks of one length together, sample by sample, piece by piece.
 *
 * All tracks run on the clock of one AudioContext at the rate of the files, so that they neither drift nor are
 * resampled. Only a few pieces are decoded at a time, and an hour takes no more memory than a minute.
 */

const AHEAD = 1.5; // seconds that are scheduled before they sound
const LEAD = 0.05; // seconds from the start to the first sample
const KEPT = 6; // pieces that stay decoded
const SMOOTH = 0.01; // time constant of a fader, s

/* Bytes of a text in base64, as an ArrayBuffer. */
export function decodeBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

export class Transport {
  /*
   * duration: seconds; sampleRate: Hz; tracks: number of tracks; pieceSeconds: length of a piece;
   * fetchPiece(track, piece): promise of the encoded bytes; worklet: address of pitch_worklet.js, if there is one.
   */
  constructor({ duration, sampleRate, tracks, pieceSeconds, fetchPiece, worklet = null }) {
    Object.assign(this, { duration, sampleRate, tracks, pieceSeconds, fetchPiece, worklet });
    this.context = null;
    this.pieces = new Map();
    this.spans = []; // what is scheduled: {when, from, to, sources}
    this.loop = null; // {from, to}
    this.rate = 1;
    this.offset = 0;
    this.playing = false;
    this.waiting = false;
    this.turn = 0; // grows with each start, so that what an earlier one loaded is not scheduled
    this.levels = Array(tracks).fill(1);
    this.pans = Array(tracks).fill(0);
    this.onchange = () => {};
    this.onerror = () => {};
  }

  async open() {
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: this.sampleRate, latencyHint: "interactive" });
      this.master = new GainNode(this.context);
      this.output = new GainNode(this.context);
      this.output.connect(this.context.destination);
      this.master.connect(this.output);
      this.strips = this.levels.map((level, track) => {
        const gain = new GainNode(this.context, { gain: level });
        const panner = new StereoPannerNode(this.context, { pan: this.pans[track] });
        const meter = new AnalyserNode(this.context, { fftSize: 2048 });
        gain.connect(panner).connect(this.master);
        gain.connect(meter);
        return { gain, panner, meter };
      });
    }
    await this.context.resume();
  }

  /* Seconds of the song that sound now. */
  get position() {
    if (!this.playing || this.waiting) return this.offset;
    const now = this.context.currentTime;
    const span = this.spans.findLast((each) => each.when <= now) ?? this.spans[0];
    if (!span) return this.offset;
    return Math.min(span.to, Math.max(span.from, span.from + (now - span.when) * this.rate));
  }

  async play() {
    if (this.playing) return;
    await this.open();
    if (this.offset >= this.duration - 0.01) this.offset = 0;
    this.playing = true;
    this.start();
  }

  pause() {
    this.offset = this.position;
    this.playing = this.waiting = false;
    this.silence();
    this.onchange();
  }

  /* Stop, and give the sound card and the memory back; `play` begins again. */
  close() {
    if (this.playing) this.pause();
    this.context?.close();
    this.context = this.strips = this.shifter = null;
    this.pieces.clear();
  }

  seek(seconds) {
    const target = Math.min(this.duration, Math.max(0, seconds));
    this.silence();
    this.offset = target;
    if (this.playing) this.start();
    else this.onchange();
  }

  setLoop(loop) {
    const position = this.position;
    this.loop = loop && loop.to - loop.from >= 0.1 ? loop : null;
    this.seek(this.loop && (position < loop.from || position >= loop.to) ? loop.from : position);
  }

  async setRate(rate) {
    const position = this.position;
    await this.open();
    await this.bendPitch(rate);
    this.rate = rate;
    this.seek(position);
  }

  setLevel(track, gain) {
    this.levels[track] = gain;
    this.strips?.[track].gain.gain.setTargetAtTime(gain, this.context.currentTime, SMOOTH);
  }

  setPan(track, pan) {
    this.pans[track] = pan;
    this.strips?.[track].panner.pan.setTargetAtTime(pan, this.context.currentTime, SMOOTH);
  }

  /* Largest sample of a track in the last moments. */
  meter(track) {
    if (!this.strips || !this.playing) return 0;
    this.samples ??= new Float32Array(2048);
    this.strips[track].meter.getFloatTimeDomainData(this.samples);
    return this.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  }

  /* Keep the pitch at another speed, where the page has the processor for it. */
  async bendPitch(rate) {
    if (!this.worklet) return;
    if (!this.shifter && rate !== 1) {
      await this.context.audioWorklet.addModule(this.worklet);
      this.shifter = new AudioWorkletNode(this.context, "pitch-shifter", { outputChannelCount: [2] });
      this.shifter.connect(this.output);
    }
    this.master.disconnect();
    if (rate === 1) this.master.connect(this.output);
    else {
      this.shifter.parameters.get("factor").value = 1 / rate;
      this.master.connect(this.shifter);
    }
  }

  silence() {
    this.turn++;
    for (const span of this.spans) for (const source of span.sources) source.stop();
    this.spans = [];
  }

  start() {
    this.waiting = true;
    this.onchange();
    this.fill(this.turn, this.offset, null);
  }

  /* Schedule pieces from a place of the song on, until the song or the turn ends. */
  async fill(turn, from, when) {
    while (this.turn === turn && this.playing) {
      const end = this.loop && from <= this.loop.to + 1e-9 ? this.loop.to : this.duration;
      if (from >= end - 1e-9) {
        if (!this.loop) return this.finish(turn, when);
        from = this.loop.from;
        continue;
      }
      const number = Math.floor(from / this.pieceSeconds + 1e-9);
      const to = Math.min(end, (number + 1) * this.pieceSeconds);
      let buffers;
      try {
        buffers = await this.piece(number);
      } catch (error) {
        if (this.turn === turn) {
          this.pause();
          this.onerror(error);
        }
        return;
      }
      if (this.turn !== turn) return;
      const earliest = this.context.currentTime + LEAD;
      if (when === null || when < earliest - LEAD) {
        // The beginning, or a piece that came too late: on a whole sample, for all tracks the same.
        when = Math.ceil(earliest * this.sampleRate) / this.sampleRate;
      }
      this.schedule(buffers, when, from, to, from - number * this.pieceSeconds);
      if (this.waiting) {
        this.waiting = false;
        this.onchange();
      }
      when += (to - from) / this.rate;
      from = to;
      this.prefetch(number + 1);
      await this.until(turn, when - AHEAD);
    }
  }

  schedule(buffers, when, from, to, inside) {
    const sources = buffers.map((buffer, track) => {
      const source = new AudioBufferSourceNode(this.context, { buffer, playbackRate: this.rate });
      source.connect(this.strips[track].gain);
      source.start(when, inside, to - from);
      return source;
    });
    const now = this.context.currentTime;
    this.spans = this.spans.filter((span) => span.when + (span.to - span.from) / this.rate > now - 1);
    this.spans.push({ when, from, to, sources });
  }

  async finish(turn, when) {
    await this.until(turn, when);
    if (this.turn !== turn || !this.playing) return;
    this.silence();
    this.playing = false;
    this.offset = 0;
    this.onchange();
  }

  /* Wait until the clock shows a time, or the turn is over. */
  async until(turn, time) {
    while (this.turn === turn && this.context.currentTime < time) {
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  prefetch(number) {
    const next = this.loop && number * this.pieceSeconds >= this.loop.to ? this.loop.from : number * this.pieceSeconds;
    if (next < this.duration) this.piece(Math.floor(next / this.pieceSeconds + 1e-9)).catch(() => {});
  }

  /* Decoded tracks of a piece; the oldest pieces are forgotten. */
  piece(number) {
    let piece = this.pieces.get(number);
    if (!piece) {
      const tracks = Array.from({ length: this.tracks }, (_, track) => this.decode(track, number));
      piece = Promise.all(tracks);
      piece.catch(() => this.pieces.delete(number));
    }
    this.pieces.delete(number);
    this.pieces.set(number, piece);
    while (this.pieces.size > KEPT) this.pieces.delete(this.pieces.keys().next().value);
    return piece;
  }

  async decode(track, number) {
    return this.context.decodeAudioData(await this.fetchPiece(track, number));
  }
}
