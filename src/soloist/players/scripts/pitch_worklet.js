/* Pitch shifter: plays a sound that runs too fast or too slow at its own pitch.
 *
 * Grains of 60 ms are read from a delay line at another rate and overlap by half; each begins where it fits
 * the end of the one before best (waveform similarity, WSOLA: Verhelst and Roelands, 1993).
 */

const LINE = 32768;
const SEARCH = 512;
const STRIDE = 8;

class PitchShifter extends AudioWorkletProcessor {
  static get parameterDescriptors() {
    return [{ name: "factor", defaultValue: 1, minValue: 0.25, maxValue: 4, automationRate: "k-rate" }];
  }

  constructor() {
    super();
    this.length = 2 * Math.round((sampleRate * 0.06) / 2);
    this.half = this.length / 2;
    this.lines = [new Float32Array(LINE), new Float32Array(LINE)];
    this.written = 0;
    this.grains = [];
    this.untilNext = 0;
    this.window = Float32Array.from({ length: this.length }, (_, index) =>
      Math.sin((Math.PI * (index + 0.5)) / this.length) ** 2);
  }

  sample(line, place) {
    const index = Math.floor(place);
    const part = place - index;
    const first = line[((index % LINE) + LINE) % LINE];
    const second = line[(((index + 1) % LINE) + LINE) % LINE];
    return first + part * (second - first);
  }

  /* Where a new grain continues the old one best, near a place. */
  match(place, old, factor) {
    if (!old) return place;
    const line = this.lines[0];
    let best = place;
    let most = -Infinity;
    for (let shift = -SEARCH; shift <= SEARCH; shift += STRIDE) {
      let likeness = 0;
      for (let index = 0; index < this.half; index += STRIDE) {
        likeness += this.sample(line, place + shift + index * factor) * this.sample(line, old.place + index * factor);
      }
      if (likeness > most) {
        most = likeness;
        best = place + shift;
      }
    }
    return best;
  }

  begin(factor) {
    const reach = Math.ceil(this.length * Math.max(factor, 1)) + SEARCH + 2;
    const old = this.grains.at(-1);
    this.grains.push({ place: this.match(this.written - reach, old, factor), age: 0 });
    this.untilNext = this.half;
  }

  process(inputs, outputs, parameters) {
    const input = inputs[0];
    const output = outputs[0];
    const factor = parameters.factor[0];
    const frames = output[0].length;
    for (let channel = 0; channel < 2; channel++) {
      const samples = input[Math.min(channel, input.length - 1)];
      for (let index = 0; index < frames; index++) {
        this.lines[channel][(this.written + index) % LINE] = samples ? samples[index] : 0;
      }
    }
    this.written += frames;
    for (let index = 0; index < frames; index++) {
      if (this.untilNext-- <= 0) this.begin(factor);
      for (const grain of this.grains) {
        const weight = this.window[grain.age];
        for (let channel = 0; channel < output.length; channel++) {
          output[channel][index] += weight * this.sample(this.lines[Math.min(channel, 1)], grain.place);
        }
        grain.place += factor;
        grain.age++;
      }
      if (this.grains.length && this.grains[0].age >= this.length) this.grains.shift();
    }
    return true;
  }
}

registerProcessor("pitch-shifter", PitchShifter);
