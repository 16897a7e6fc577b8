// Asks the daemon, by its documented API and by nothing else (docs/api.md).

const base = new URL("api/v1/", document.baseURI);

/** Refused is an answer that is none: status 0 where nobody answers. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const key = "autoscale-token";

/** token is kept as long as the tab: it is what whoever changes something shows. */
export const token = {
  get: () => sessionStorage.getItem(key),
  set: (text) => sessionStorage.setItem(key, text),
  forget: () => sessionStorage.removeItem(key),
};

function request(path, options) {
  const headers = new Headers(options.headers);
  if (token.get()) headers.set("Authorization", "Bearer " + token.get());
  return fetch(new URL(path, base), { ...options, headers, cache: "no-store", redirect: "error", credentials: "omit" });
}

/** refusal is what an answer that is none says. */
async function refusal(answer) {
  const text = await answer.text().catch(() => "");
  let said = text.trim() || answer.statusText;
  try {
    said = JSON.parse(text).error || said;
  } catch {
    // It came from something in between, and is shown as it is.
  }
  return new Refused(answer.status, said);
}

/** ask asks for something in JSON, and waits for so many seconds. */
export async function ask(path, { method = "GET", body, within = 15 } = {}) {
  const options = { method, signal: AbortSignal.timeout(within * 1000) };
  if (body) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  let answer;
  try {
    answer = await request(path, options);
  } catch (e) {
    throw new Refused(0, e.name === "TimeoutError" ? `no answer within ${within} s` : "it does not answer");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

export const services = () => ask("services");
export const service = (name) => ask("services/" + encodeURIComponent(name));
export const past = (name, query) => ask(`services/${encodeURIComponent(name)}/history?${new URLSearchParams(query)}`);
export const decisions = (name, query) => ask(`services/${encodeURIComponent(name)}/decisions?${new URLSearchParams(query)}`);
export const events = (query) => ask("events?" + new URLSearchParams(query));
export const pause = (name, body) => ask(`services/${encodeURIComponent(name)}/pause`, { method: "POST", body, within: 45 });
export const resume = (name) => ask(`services/${encodeURIComponent(name)}/pause`, { method: "DELETE", within: 45 });

const broken = (e) => (e instanceof Refused ? e : new Refused(0, "the stream broke off"));

/**
 * Stream is what happens, as it happens. It is read with fetch and not with an
 * EventSource, which cannot show a token.
 */
export class Stream {
  #reader;
  #rest = "";
  #ending = new AbortController();

  /** open waits until the stream is known to come through. */
  async open() {
    const late = setTimeout(() => this.end(), 5000);
    try {
      const answer = await request("stream", { signal: this.#ending.signal });
      if (!answer.ok) throw await refusal(answer);
      this.#reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const first = await this.#reader.read(); // "retry:" comes at once
      if (first.done) throw new Refused(0, "the stream has ended");
      this.#rest = first.value;
    } catch (e) {
      throw broken(e);
    } finally {
      clearTimeout(late);
    }
  }

  /** read tells each event, until the stream ends, or is silent for so long that it must be dead. */
  async read(tell) {
    for (;;) {
      const messages = this.#rest.split("\n\n");
      this.#rest = messages.pop();
      for (const m of messages) {
        const event = /^event: (.*)$/m.exec(m);
        const data = /^data: (.*)$/m.exec(m);
        if (event && data) tell(event[1], JSON.parse(data[1]));
      }
      const silent = setTimeout(() => this.end(), 40000); // it beats every 15 s
      try {
        const { done, value } = await this.#reader.read();
        if (done) return;
        this.#rest += value;
      } catch (e) {
        throw broken(e);
      } finally {
        clearTimeout(silent);
      }
    }
  }

  end() {
    this.#ending.abort();
  }
}
