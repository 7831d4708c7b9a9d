interface Group {
  callbacks: Set<() => void>;
  listener: () => void;
}

const groups = new WeakMap<AbortSignal, Group>();

/**
 * Calls back once when the signal aborts; what is called must not throw. Returns what ends the listening, as a signal may live much
 * longer. There is one listener for all: Node warns of a leak when a signal has more than ten.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => {};
  const { callbacks, listener } = groups.get(signal) ?? listen(signal);
  callbacks.add(callback);
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return;
    signal.removeEventListener('abort', listener);
    if (groups.get(signal)?.callbacks === callbacks) groups.delete(signal);
  };
}

function listen(signal: AbortSignal): Group {
  const callbacks = new Set<() => void>();
  const listener = () => {
    groups.delete(signal);
    for (const callback of callbacks) callback();
  };
  const group = { callbacks, listener };
  groups.set(signal, group);
  signal.addEventListener('abort', listener, { once: true });
  return group;
}
