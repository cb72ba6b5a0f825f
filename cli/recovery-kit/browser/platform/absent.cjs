// Stands in for modules of Node that the reading path never calls: files, threads, native addons. CommonJS, so that any name
// can be imported from it; one that is not here is undefined, and whoever calls it after all fails at once.
exports.createRequire = () => () => {
  throw new Error('there are no packages in a browser');
};
exports.promisify =
  (call) =>
  (...args) =>
    new Promise((resolve, reject) => {
      call(...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
exports.setTimeout = (ms) => new Promise((resolve) => void globalThis.setTimeout(resolve, ms));
exports.join = (...parts) => parts.join('/');
exports.constants = {};
exports.isMainThread = true;
exports.tmpdir = () => '/tmp';
exports.availableParallelism = () => 1;
