/** What an abort ends. */
interface Heeding {
  fail(reason: unknown): void;
}

interface Group {
  members: Set<WeakRef<Heeding>>;
  abort: () => void;
}

/** The sessions that heed a signal. One listener for all: Node warns of a leak when there are more than ten. */
const groups = new WeakMap<AbortSignal, Group>();

/** Ends a session with the signal's reason when it aborts. Returns what ends the listening; a signal may live much longer. */
export function heed(signal: AbortSignal | undefined, member: WeakRef<Heeding>): () => void {
  if (signal === undefined) return () => {};
  const group = groups.get(signal) ?? listen(signal);
  group.members.add(member);
  return () => {
    if (!group.members.delete(member) || group.members.size > 0) return;
    groups.delete(signal);
    signal.removeEventListener('abort', group.abort);
  };
}

function listen(signal: AbortSignal): Group {
  const members = new Set<WeakRef<Heeding>>();
  const abort = () => {
    for (const member of [...members]) member.deref()?.fail(signal.reason);
  };
  const group = { members, abort };
  groups.set(signal, group);
  signal.addEventListener('abort', abort, { once: true });
  return group;
}
