// A pickle machine that builds plain values and nothing else. The format is a little program whose GLOBAL opcode names
// any Python object and whose REDUCE calls it; here a name means only what the caller's table says, nothing is looked up.
import { ClipCapError } from "../runtime/errors.js";

/** A state_dict of 10,000 tensors needs 0.4 M of each. */
const MAX_OPCODES = 5_000_000;
const MAX_MEMO = 1_000_000;
const MAX_STACK = 1_000_000;
/** Open brackets; a state_dict needs 4. */
const MAX_DEPTH = 200;

/** What a pickle becomes: dict and OrderedDict are Maps, lists and tuples arrays; the rest comes from the reader. */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | { readonly kind: string };

/** A Python name that may occur; `call` is what REDUCE does with it. */
export interface PickleGlobal {
  readonly kind: string;
  call?(args: readonly PickleValue[]): PickleValue;
}

export interface PickleReader {
  /** "module.name" -> meaning; every other name is refused. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** Objects stored outside the pickle. */
  persistent(id: PickleValue): PickleValue;
  /** Other limits, for data sets, which have more objects than weights. Default MAX_OPCODES and MAX_MEMO. */
  readonly limits?: { readonly opcodes: number; readonly memo: number };
}

/**
 * Runs a pickle of protocol 2 to 5.
 * @throws ClipCapError `bad-weights` for anything outside the plain values and the reader's table.
 */
export function readPickle(file: string, bytes: Uint8Array, reader: PickleReader): PickleValue {
  return new Machine(file, bytes, reader).run();
}

/** `readPickle` where more may follow: also says where the pickle ended. */
export function readPickleAt(file: string, bytes: Uint8Array, at: number, reader: PickleReader) {
  const machine = new Machine(file, bytes.subarray(at), reader);
  return { value: machine.run(), end: at + machine.at };
}

class Machine {
  readonly #view: DataView;
  #at = 0;
  #stack: PickleValue[] = [];
  /** Stacks below open marks. */
  readonly #outer: PickleValue[][] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(
    readonly file: string,
    readonly bytes: Uint8Array,
    readonly reader: PickleReader,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes that were read. */
  get at(): number {
    return this.#at;
  }

  run(): PickleValue {
    const { opcodes, memo } = this.reader.limits ?? { opcodes: MAX_OPCODES, memo: MAX_MEMO };
    for (let count = 0; count < opcodes; count++) {
      const opcode = this.#uint(1);
      if (opcode === 0x2e /* STOP */) return this.#pop();
      this.#step(opcode);
      if (this.#stack.length > MAX_STACK || this.#memo.size > memo || this.#outer.length > MAX_DEPTH) {
        throw this.#bad("it is nested too deeply or holds too many objects");
      }
    }
    throw this.#bad(`it has more than ${opcodes} instructions`);
  }

  #step(opcode: number): void {
    const literal = this.#literal(opcode);
    if (literal === undefined) this.#act(opcode);
    else this.#stack.push(literal);
  }

  /** The value that an opcode writes down; undefined where it does something else. */
  #literal(opcode: number): PickleValue | undefined {
    switch (opcode) {
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4b: // BININT1
        return this.#uint(1);
      case 0x4d: // BININT2
        return this.#uint(2);
      case 0x4a: // BININT
        return this.#uint(4) | 0;
      case 0x8a: // LONG1
        return this.#long(this.#uint(1));
      case 0x47: // BINFLOAT
        return this.#view.getFloat64(this.#skip(8), false);
      case 0x8c: // SHORT_BINUNICODE
      case 0x55: // SHORT_BINSTRING, what Python 2 wrote for texts
        return this.#text(this.#uint(1));
      case 0x58: // BINUNICODE
        return this.#text(this.#uint(4));
      case 0x43: // SHORT_BINBYTES
        return this.#take(this.#uint(1));
      case 0x42: // BINBYTES
        return this.#take(this.#uint(4));
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return [];
      case 0x7d: // EMPTY_DICT
        return new Map();
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#popMany(opcode - 0x84);
      case 0x74: // TUPLE
      case 0x6c: // LIST
        return this.#closeMark();
      case 0x68: // BINGET
        return this.#recall(this.#uint(1));
      case 0x6a: // LONG_BINGET
        return this.#recall(this.#uint(4));
      case 0x63: // GLOBAL
        return this.#global(this.#line(), this.#line());
      case 0x93: // STACK_GLOBAL
        return this.#global(...(this.#popMany(2) as [PickleValue, PickleValue]));
      case 0x51: // BINPERSID
        return this.reader.persistent(this.#pop());
      case 0x52: // REDUCE
        return this.#reduce(...(this.#popMany(2) as [PickleValue, PickleValue]));
      default:
        return undefined;
    }
  }

  #act(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        this.#protocol(this.#uint(1));
        break;
      case 0x95: // FRAME: a hint for buffering
        this.#skip(8);
        break;
      case 0x28: // MARK
        this.#outer.push(this.#stack);
        this.#stack = [];
        break;
      case 0x30: // POP
        if (this.#stack.length === 0) this.#closeMark();
        else this.#pop();
        break;
      case 0x31: // POP_MARK
        this.#closeMark();
        break;
      case 0x61: // APPEND
        this.#append(this.#popMany(1));
        break;
      case 0x65: // APPENDS
        this.#append(this.#closeMark());
        break;
      case 0x73: // SETITEM
        this.#setItems(this.#popMany(2));
        break;
      case 0x75: // SETITEMS
        this.#setItems(this.#closeMark());
        break;
      case 0x71: // BINPUT
        this.#memo.set(this.#uint(1), this.#top());
        break;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#uint(4), this.#top());
        break;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case 0x62: // BUILD: attributes of an OrderedDict (torch keeps versions there), of no use
        this.#pop();
        if (!(this.#top() instanceof Map)) throw this.#bad("it sets attributes of something that is not a dictionary");
        break;
      default:
        throw this.#bad(
          `it uses instruction 0x${opcode.toString(16)} at byte ${this.#at - 1}, which weights do not need`,
        );
    }
  }

  #global(module: PickleValue, name: PickleValue): PickleGlobal {
    if (typeof module !== "string" || typeof name !== "string") throw this.#bad("it names an object by something else");
    const global = this.reader.globals.get(`${module}.${name}`);
    if (!global) {
      throw new ClipCapError(
        "bad-weights",
        `${this.file} was refused: it asks for the Python object ${JSON.stringify(`${module}.${name}`.slice(0, 200))}, and only plain tensors are read. If you trust the file, save its state_dict alone with torch.save.`,
      );
    }
    return global;
  }

  #reduce(callee: PickleValue, args: PickleValue): PickleValue {
    const call = callee !== null && typeof callee === "object" && "kind" in callee && (callee as PickleGlobal).call;
    if (!call || !Array.isArray(args)) throw this.#bad("it calls something that is not a function");
    return call(args);
  }

  #append(items: readonly PickleValue[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) throw this.#bad("it appends to something that is not a list");
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map) || items.length % 2 !== 0)
      throw this.#bad("it sets items of something that is not a dictionary");
    for (let i = 0; i < items.length; i += 2) dict.set(items[i]!, items[i + 1]!);
  }

  #recall(index: number): PickleValue {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#bad(`it recalls object ${index}, which it never made`);
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) throw this.#bad("its stack is empty");
    return value;
  }

  #pop(): PickleValue {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length < count) throw this.#bad("its stack is empty");
    return this.#stack.splice(-count);
  }

  #closeMark(): PickleValue[] {
    const outer = this.#outer.pop();
    if (!outer) throw this.#bad("it closes a bracket that was never opened");
    const items = this.#stack;
    this.#stack = outer;
    return items;
  }

  #protocol(version: number): void {
    if (version < 2 || version > 5) throw this.#bad(`it has protocol ${version}; 2 to 5 are read`);
  }

  /** Advances by `count` bytes and returns where they start. */
  #skip(count: number): number {
    const start = this.#at;
    if (count > this.bytes.length - start) throw this.#bad("it ends in the middle of an instruction");
    this.#at += count;
    return start;
  }

  #take(count: number): Uint8Array {
    const start = this.#skip(count);
    return this.bytes.subarray(start, start + count);
  }

  #uint(width: 1 | 2 | 4): number {
    const at = this.#skip(width);
    if (width === 1) return this.#view.getUint8(at);
    return width === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  /** Little-endian two's complement of up to 8 bytes. */
  #long(width: number): number {
    let value = 0n;
    const bytes = this.#take(width);
    for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    const number = Number(BigInt.asIntN(8 * width, value));
    if (!Number.isSafeInteger(number)) throw this.#bad("it holds an integer above 2^53");
    return number;
  }

  #text(length: number): string {
    return new TextDecoder().decode(this.#take(length));
  }

  #line(): string {
    const end = this.bytes.indexOf(0x0a, this.#at);
    if (end < 0 || end - this.#at > 1000) throw this.#bad("it names something without an end");
    const text = this.#text(end - this.#at);
    this.#at++;
    return text;
  }

  #bad(what: string): ClipCapError {
    return new ClipCapError("bad-weights", `${this.file} does not hold a readable pickle: ${what}.`);
  }
}
