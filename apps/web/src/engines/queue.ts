/** One call after the other: of onnxruntime in browsers, two sessions must not run at the same time. */

const ends = new WeakMap<object, Promise<unknown>>();

/** Do some work once all that was asked of the same engine before has ended. */
export function inTurn<T>(engine: object, work: () => Promise<T>): Promise<T> {
  const done = (ends.get(engine) ?? Promise.resolve()).then(work, work);
  ends.set(engine, done);
  return done;
}
