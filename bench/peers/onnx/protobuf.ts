// The few ONNX messages that the graphs here need, as protobuf bytes; field numbers from onnx.proto (IR version 9).

export type Attribute = number | { readonly float: number } | string | readonly number[];

export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

/** A graph's input or output; a string stands for a size that is known only when it runs. */
export interface ValueInfo {
  readonly name: string;
  readonly type: "f32" | "i64";
  readonly shape: readonly (number | string)[];
}

const ELEMENT_TYPE = { f32: 1, i64: 7 };
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 };
const [IR_VERSION, OPSET] = [9, 20];

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value)); // negative numbers take ten bytes
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

function int(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
}

function bytes(field: number, ...pieces: (Uint8Array | string)[]): Buffer {
  const buffers = pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece));
  const length = buffers.reduce((sum, b) => sum + b.length, 0);
  return Buffer.concat([varint((field << 3) | 2), varint(length), ...buffers]);
}

function attribute(name: string, value: Attribute): Buffer {
  const parts = (type: number, ...values: Buffer[]) => Buffer.concat([bytes(1, name), ...values, int(20, type)]);
  if (typeof value === "number") return parts(ATTRIBUTE_TYPE.int, int(3, value));
  if (typeof value === "string") return parts(ATTRIBUTE_TYPE.string, bytes(4, value));
  if ("float" in value) return parts(ATTRIBUTE_TYPE.float, float(2, value.float));
  return parts(ATTRIBUTE_TYPE.ints, ...value.map((v) => int(8, v)));
}

/** NodeProto. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>>,
): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
  ]);
}

/** TensorProto, its numbers as raw little-endian bytes. */
export function tensor(name: string, { shape, data }: TensorData): Buffer {
  const type = data instanceof Float32Array ? ELEMENT_TYPE.f32 : ELEMENT_TYPE.i64;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat([...shape.map((d) => int(1, d)), int(2, type), bytes(8, name), bytes(9, raw)]);
}

function valueInfo({ name, type, shape }: ValueInfo): Buffer {
  const dimensions = shape.map((d) => bytes(1, typeof d === "number" ? int(1, d) : bytes(2, d)));
  const tensorType = bytes(1, int(1, ELEMENT_TYPE[type]), bytes(2, ...dimensions));
  return Buffer.concat([bytes(1, name), bytes(2, tensorType)]);
}

/** ModelProto with one graph; `nodes` in an order in which each comes after what it reads. */
export function model(graph: {
  readonly nodes: readonly Buffer[];
  readonly tensors: readonly Buffer[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}): Buffer {
  const content = [
    ...graph.nodes.map((n) => bytes(1, n)),
    bytes(2, "graph"),
    ...graph.tensors.map((t) => bytes(5, t)),
    ...graph.inputs.map((v) => bytes(11, valueInfo(v))),
    ...graph.outputs.map((v) => bytes(12, valueInfo(v))),
  ];
  return Buffer.concat([int(1, IR_VERSION), bytes(7, ...content), bytes(8, bytes(1, ""), int(2, OPSET))]);
}
