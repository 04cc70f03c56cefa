/* The mixer of a song whose stems are in the page itself. */

import { Mixer } from "./mixer.js";
import { decodeBase64 } from "./transport.js";

const song = JSON.parse(document.getElementById("song").textContent);
const duration = song.samples / song.rate;

const mixer = new Mixer(document.getElementById("mixer"), {
  name: song.name,
  duration,
  sampleRate: song.rate,
  samples: song.samples,
  tracks: Object.keys(song.stems),
  hasMixture: false,
  pieceSeconds: duration,
  fetchPiece: async (name) => decodeBase64(song.stems[name].sound),
  loadPeaks: async (name, zoom) => {
    const { peaks } = song.stems[name];
    return new Int8Array(decodeBase64(peaks[zoom] ?? peaks[1024]));
  },
  spectrogram: null,
  worklet: null,
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select");
  const pressing = event.key === " " && event.target.closest("button");
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (mixer.key(event)) event.preventDefault();
});
