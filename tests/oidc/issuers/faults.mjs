// The faults of an issuer, which a test starts and ends.

export class Faults {
  #faults = [];
  #held = [];

  // {path, times, status, headers, body} | {path, times, reset: true} | {path, times, hold: true}
  // The first fault of a path that is not used up applies.
  add(fault) {
    this.#faults.push({ times: Infinity, ...fault });
  }

  // Close the connections that were kept waiting.
  clear() {
    this.#faults = [];
    for (const response of this.#held) response.destroy();
    this.#held = [];
  }

  // Returns whether there was a fault, which has completed this response.
  async answer(path, response) {
    const fault = this.#faults.find((one) => one.times > 0 && (one.path === '*' || one.path === path));
    if (!fault) return false;
    fault.times -= 1;
    if (fault.hold) {
      this.#held.push(response);
    } else if (fault.reset) {
      response.socket.resetAndDestroy();
    } else {
      response.writeHead(fault.status ?? 200, { 'Content-Type': 'application/json', ...fault.headers });
      response.end(fault.body ?? '');
    }
    return true;
  }
}
