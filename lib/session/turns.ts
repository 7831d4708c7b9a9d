import { Fifo } from './fifo';

// CONTRACT: what the sessions of a thread do in one turn of its event loop, in samples that are resampled. SOURCE: measured, 32,768
// take about 1 ms. WHY: a hundred sessions that each take a little would stop timers and sockets together, and so would a
// loop that awaits writes, since they resolve without a turn while there is room. TODO: none.
const SAMPLES_PER_TURN = 32_768;

interface Waiter {
  cost: number;
  resolve: () => void;
}

const waiters = new Fifo<Waiter>();
let spent = 0;
let scheduled = false;

/** Undefined when work of this cost, in samples that are resampled, may be done at once; else what to wait for first. */
export function turnFor(cost: number): Promise<void> | undefined {
  schedule();
  if (spent < SAMPLES_PER_TURN && waiters.first === undefined) {
    spent += cost;
    return undefined;
  }
  return new Promise((resolve) => {
    waiters.push({ cost, resolve });
  });
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(begin);
}

function begin(): void {
  scheduled = false;
  spent = 0;
  while (spent < SAMPLES_PER_TURN) {
    const waiter = waiters.shift();
    if (waiter === undefined) break;
    spent += waiter.cost;
    waiter.resolve();
  }
  if (spent > 0) schedule();
}
