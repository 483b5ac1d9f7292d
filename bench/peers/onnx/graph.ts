import { type Attribute, model, node, type TensorData, tensor, type ValueInfo } from "./protobuf.js";

/** Collects the nodes of a graph; values are known by their names. */
export class Graph {
  private readonly nodes: Uint8Array[] = [];
  private readonly tensors: Uint8Array[] = [];
  private readonly inputs: ValueInfo[] = [];
  private readonly outputs: ValueInfo[] = [];
  private count = 0;

  input(name: string, shape: ValueInfo["shape"], type: ValueInfo["type"] = "f32"): string {
    this.inputs.push({ name, type, shape });
    return name;
  }

  /** Names an output; its value is `from`. */
  output(name: string, from: string, shape: ValueInfo["shape"], type: ValueInfo["type"] = "f32"): void {
    this.nodes.push(node("Identity", [from], [name], {}));
    this.outputs.push({ name, type, shape });
  }

  constant(value: TensorData): string {
    const name = this.fresh();
    this.tensors.push(tensor(name, value));
    return name;
  }

  ints(...values: number[]): string {
    return this.constant({ shape: [values.length], data: BigInt64Array.from(values.map(BigInt)) });
  }

  scalar(value: number): string {
    return this.constant({ shape: [], data: Float32Array.of(value) });
  }

  scalarInt(value: number): string {
    return this.constant({ shape: [], data: BigInt64Array.of(BigInt(value)) });
  }

  /** A node with one output. */
  op(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    const output = this.fresh();
    this.nodes.push(node(op, inputs, [output], attributes));
    return output;
  }

  /** Three equal parts along the last of `rank` axes. */
  split3(x: string, rank: number): [string, string, string] {
    const outputs: [string, string, string] = [this.fresh(), this.fresh(), this.fresh()];
    this.nodes.push(node("Split", [x], outputs, { axis: rank - 1, num_outputs: 3 }));
    return outputs;
  }

  /** The k largest along the last axis, largest first: values and indices. */
  topK(x: string, k: number): [string, string] {
    const outputs: [string, string] = [this.fresh(), this.fresh()];
    this.nodes.push(node("TopK", [x, this.ints(k)], outputs, {}));
    return outputs;
  }

  bytes(): Uint8Array {
    const { nodes, tensors, inputs, outputs } = this;
    return model({ nodes, tensors, inputs, outputs });
  }

  private fresh(): string {
    return `#${this.count++}`; // no name that a caller gives looks like this
  }
}
