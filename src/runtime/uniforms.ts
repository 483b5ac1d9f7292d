import type { Device } from "./device.js";
import { uniformBytes } from "./kernel.js";
import { align } from "./plan.js";
import type { Dispatch } from "./program.js";

type Type = "u32" | "f32";

/** The uniforms of all dispatches of a program, in one buffer. Scalars are numbers that a run may change. */
export class Uniforms {
  private readonly buffer: GPUBuffer;
  private readonly words: DataView<ArrayBuffer>;
  /** Where each dispatch's begin, and their bytes. */
  private readonly places: { readonly offset: number; readonly size: number }[] = [];
  private readonly patches = new Map<string, { readonly word: number; readonly type: Type }[]>();
  /** Scalars that no run has given a value yet. */
  private readonly unset = new Set<string>();
  private dirty = true;

  constructor(
    private readonly device: Device,
    private readonly label: string,
    dispatches: readonly Dispatch[],
  ) {
    let end = 0;
    for (const { kernel } of dispatches) {
      const size = uniformBytes(kernel);
      this.places.push({ offset: end, size });
      end += align(size, device.limits.uniformAlignment);
    }
    this.words = new DataView(new ArrayBuffer(Math.max(16, end)));
    dispatches.forEach(({ kernel, uniforms }, i) => {
      kernel.uniforms.forEach(([name, type], k) => {
        const value = uniforms[name]!;
        const word = this.places[i]!.offset + k * 4;
        if (typeof value === "number") put(this.words, word, type, value);
        else {
          this.patches.set(value.scalar, [...(this.patches.get(value.scalar) ?? []), { word, type }]);
          this.unset.add(value.scalar);
        }
      });
    });
    this.buffer = device.uniformBuffer(`${label}.uniforms`, this.words.byteLength);
  }

  /** For the bind group of a dispatch. */
  place(index: number): GPUBufferBinding {
    return { buffer: this.buffer, ...this.places[index]! };
  }

  /** Gives scalars their values for the next run; others keep theirs. */
  set(values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) {
      const patches = this.patches.get(name);
      if (!patches) throw new TypeError(`${this.label} has no scalar ${name}`);
      for (const { word, type } of patches) put(this.words, word, type, value);
      this.unset.delete(name);
      this.dirty = true;
    }
    for (const name of this.unset) throw new TypeError(`${this.label} needs a value for ${name} in its first run`);
    if (this.dirty) this.device.gpu.queue.writeBuffer(this.buffer, 0, this.words.buffer);
    this.dirty = false;
  }

  free(): void {
    this.device.release(this.buffer);
  }
}

function put(words: DataView, byte: number, type: Type, value: number): void {
  if (type === "u32") words.setUint32(byte, value, true);
  else words.setFloat32(byte, value, true);
}
