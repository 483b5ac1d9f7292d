import os from "node:os";

/** What a piece of work took. All times in milliseconds. */
export interface Timing {
  readonly median: number;
  readonly p95: number;
  readonly best: number;
  /** Processor time of this process per run, all threads: what the CPU's driver computes in is in it. */
  readonly cpu: number;
  /** Cores that other processes kept busy meanwhile; above 0.2 the wall times say little. */
  readonly otherLoad: number;
  readonly runs: number;
  /** Median by the GPU's own clock, where the device has one and the work was measured by it. */
  readonly gpu?: number;
}

export interface TimingOptions {
  readonly warmup?: number;
  readonly runs?: number;
}

/** Runs `work` again and again and keeps the middle of the wall times. */
export async function timed(work: () => Promise<unknown>, { warmup = 2, runs = 9 }: TimingOptions = {}) {
  for (let i = 0; i < warmup; i++) await work();
  const load = watchLoad();
  const laps = stopwatch();
  for (let i = 0; i < runs; i++) {
    const lap = watchLap();
    await work();
    laps.add(lap());
  }
  return laps.timing(load().otherCores);
}

/** Milliseconds by the wall's clock, and of processor time that this process took. */
export interface Lap {
  readonly wall: number;
  readonly cpu: number;
}

/** From now until the returned function is called. */
export function watchLap(): () => Lap {
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { wall: performance.now() - start, cpu: (user + system) / 1000 };
  };
}

/** Collects laps. */
export function stopwatch(): { add(lap: Lap): void; timing(otherLoad: number): Timing } {
  const laps: Lap[] = [];
  return {
    add: (lap) => laps.push(lap),
    timing(otherLoad) {
      const walls = laps.map((l) => l.wall);
      const cpu = quantile(
        laps.map((l) => l.cpu),
        0.5,
      );
      const [median, p95, best] = [quantile(walls, 0.5), quantile(walls, 0.95), Math.min(...walls)];
      return { median, p95, best, cpu, otherLoad, runs: laps.length };
    },
  };
}

/** The value below which the share q of all lies, from 0 to 1; linear between the two nearest, as NumPy's default. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

export interface Load {
  readonly cpuMs: number;
  readonly otherCores: number;
}

/** From now until the returned function is called: processor time of this process, and cores that others kept busy. */
export function watchLoad(): () => Load {
  const [own, all, start] = [process.cpuUsage(), busyMs(), performance.now()];
  return () => {
    const { user, system } = process.cpuUsage(own);
    const cpuMs = (user + system) / 1000;
    return { cpuMs, otherCores: Math.max(0, (busyMs() - all - cpuMs) / (performance.now() - start)) };
  };
}

function busyMs(): number {
  return os.cpus().reduce((sum, { times: t }) => sum + t.user + t.nice + t.sys + t.irq, 0);
}
