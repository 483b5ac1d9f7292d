import type { Device } from "./device.js";

/**
 * Memory for the values of several programs that never run at the same time: one recorded for each shape of a batch, say.
 * A program's values are undefined before its run and dead after it, so all of them may lie in the same buffers, and
 * together they take what the largest takes. Compile the largest first: a buffer does not grow.
 */
export class Arenas {
  private readonly buffers: GPUBuffer[] = [];
  private readonly textures: GPUTexture[] = [];

  constructor(
    readonly device: Device,
    readonly label: string,
  ) {}

  /** A buffer of at least each size, none of them twice; for each the smallest that is there and fits, else a new one. */
  take(sizes: readonly number[]): GPUBuffer[] {
    const free = [...this.buffers].sort((a, b) => a.size - b.size);
    return sizes.map((bytes) => {
      const fitting = free.findIndex((buffer) => buffer.size >= bytes);
      if (fitting >= 0) return free.splice(fitting, 1)[0]!;
      const buffer = this.device.buffer(`${this.label}.arena${this.buffers.length}`, bytes, this.label);
      this.buffers.push(buffer);
      return buffer;
    });
  }

  /** A texture of at least this size for bindings of that kind: one that is there and fits, else a new one. */
  texture([width, height]: readonly [number, number]): GPUTexture {
    const fitting = this.textures.find((t) => t.width >= width && t.height >= height);
    if (fitting) return fitting;
    const made = this.device.texture(`${this.label}.texture${this.textures.length}`, [width, height], this.label);
    this.textures.push(made);
    return made;
  }

  free(): void {
    for (const taken of [...this.buffers.splice(0), ...this.textures.splice(0)]) this.device.release(taken);
  }
}
