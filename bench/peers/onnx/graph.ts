import { type Attribute, model, node, type TensorData, tensor, type ValueInfo } from "./protobuf.js";

/** Collects the nodes of a graph; values are known by their names. */
export class Graph {
  private readonly nodes: Buffer[] = [];
  private readonly tensors: Buffer[] = [];
  private readonly inputs: ValueInfo[] = [];
  private readonly outputs: ValueInfo[] = [];
  private count = 0;

  input(name: string, shape: ValueInfo["shape"]): string {
    this.inputs.push({ name, type: "f32", shape });
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

  bytes(): Buffer {
    const { nodes, tensors, inputs, outputs } = this;
    return model({ nodes, tensors, inputs, outputs });
  }

  private fresh(): string {
    return `#${this.count++}`; // no name that a caller gives looks like this
  }
}
