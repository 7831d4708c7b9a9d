import type { SingleBar } from 'cli-progress';

/** What a bar shows; `done` and `total` in any one unit. */
export interface BarState {
  done: number;
  /** Absent while unknown; the bar then stands at 0 %. */
  total?: number | undefined;
  /** Words after the bar: a speed, a file. */
  detail?: string | undefined;
  remainingMs?: number | undefined;
}

export interface Bar {
  update(state: BarState): void;
  /** Takes the bar off the screen; further updates do nothing. */
  stop(): void;
}

/** "1:05:09", "2:07"; "-" when it is not known. */
export function durationText(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return '-';
  const seconds = Math.max(Math.round(ms / 1000), 0);
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = `${hours > 0 ? two(minutes) : minutes}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** "652 MB", "1.2 GB": decimal, as the hub's pages count. */
export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return '-';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

const SILENT: Bar = { update: () => undefined, stop: () => undefined };

/**
 * A progress bar on standard error, or nothing when that is no terminal: pipes and logs stay clean. The library is
 * loaded only when a bar is shown.
 */
export async function openBar(label: string, stream: NodeJS.WriteStream = process.stderr): Promise<Bar> {
  if (stream.isTTY !== true) return SILENT;
  const { default: progress } = await import('cli-progress');
  const bar: SingleBar = new progress.SingleBar({
    format: `${label} {bar} {percentage} % | {detail} | ETA {left}`,
    stream,
    clearOnComplete: true,
    hideCursor: true,
    barsize: 24,
    barCompleteChar: '#',
    barIncompleteChar: '-',
  });
  bar.start(1, 0, { detail: '', left: '-' });
  let stopped = false;
  return {
    update(state) {
      if (stopped) return;
      if (state.total !== undefined) bar.setTotal(Math.max(state.total, 1));
      const done = state.total === undefined ? 0 : state.done;
      bar.update(done, { detail: state.detail ?? '', left: durationText(state.remainingMs) });
    },
    stop() {
      if (!stopped) bar.stop();
      stopped = true;
    },
  };
}
