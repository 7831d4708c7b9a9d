/** For a promise that tells of its session's failure alone: whoever caused it knows, so nobody has to await this one, too. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
