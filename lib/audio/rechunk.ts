/** Collects samples of any length into chunks of one length; the last one may be shorter. */
export class Rechunker {
  #chunk: Float32Array<ArrayBuffer>;
  #filled = 0;

  constructor(private readonly chunkSamples: number) {
    this.#chunk = new Float32Array(chunkSamples);
  }

  /** The chunks that these samples complete. Each is the caller's own. */
  *push(samples: Float32Array): Generator<Float32Array<ArrayBuffer>> {
    for (let at = 0; at < samples.length; ) {
      const part = samples.subarray(at, at + this.chunkSamples - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.chunkSamples) continue;
      yield this.#chunk;
      this.#chunk = new Float32Array(this.chunkSamples);
      this.#filled = 0;
    }
  }

  /** What has not filled a chunk. */
  *flush(): Generator<Float32Array<ArrayBuffer>> {
    if (this.#filled === 0) return;
    yield this.#chunk.slice(0, this.#filled);
    this.#filled = 0;
  }
}
