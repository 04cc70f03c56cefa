/* Waveforms: peaks at several zooms, drawn on a canvas as wide as its place. */

export const ZOOMS = [256, 1024, 4096, 16384];

export class Waveform {
  /* `load(zoom)` gives an Int8Array of the lowest and highest value of each bin of `zoom` samples. */
  constructor(canvas, samples, load) {
    this.canvas = canvas;
    this.samples = samples;
    this.load = load;
    this.loaded = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /* The finest zoom that a screen of this width can show, or the coarsest. */
  zoomFor(width) {
    return ZOOMS.findLast((zoom) => this.samples / zoom >= width) ?? ZOOMS[0];
  }

  async draw() {
    const ratio = globalThis.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (!width || !height) return;
    const zoom = this.zoomFor(width);
    if (!this.loaded.has(zoom)) this.loaded.set(zoom, this.load(zoom));
    const peaks = await this.loaded.get(zoom);
    this.canvas.width = width;
    this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    context.fillStyle = getComputedStyle(this.canvas).color;
    const bins = peaks.length / 2;
    const middle = height / 2;
    for (let x = 0; x < width; x++) {
      const first = Math.floor((x * bins) / width);
      const last = Math.max(first + 1, Math.floor(((x + 1) * bins) / width));
      let low = 127;
      let high = -127;
      for (let bin = first; bin < last && bin < bins; bin++) {
        low = Math.min(low, peaks[2 * bin]);
        high = Math.max(high, peaks[2 * bin + 1]);
      }
      const top = middle - (high / 127) * middle;
      context.fillRect(x, top, 1, Math.max(1, ((high - low) / 127) * middle));
    }
  }
}
