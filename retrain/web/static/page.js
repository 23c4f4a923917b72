// What the page does by itself: times in the reader's own, copying, `/` to search, following logs. It reads without it.
(() => {
  "use strict";
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

  function tellTimes(root) {
    for (const one of root.querySelectorAll("time[datetime]")) {
      const then = new Date(one.getAttribute("datetime"));
      if (isNaN(then)) continue;
      const today = new Date().toDateString() === then.toDateString();
      const year = then.getFullYear() === new Date().getFullYear() ? "" : ` ${then.getFullYear()}`;
      one.textContent = (today ? "" : `${day.format(then)}${year}, `) + clock.format(then);
    }
  }

  // What still runs grows older while somebody looks.
  const words = (s) => s < 10 ? s.toFixed(1) + "s" : s < 60 ? Math.round(s) + "s" : s < 3600 ? `${Math.floor(s / 60)}m${Math.floor(s % 60)}s`
    : s < 86400 ? `${Math.floor(s / 3600)}h${Math.floor(s / 60) % 60}m` : `${Math.floor(s / 86400)}d${Math.floor(s / 3600) % 24}h`;
  setInterval(() => {
    if (document.hidden) return;
    for (const one of document.querySelectorAll("[data-since]")) {
      const since = new Date(one.dataset.since);
      if (!isNaN(since) && Date.now() > since) one.textContent = words((Date.now() - since) / 1000).replace(/([mhd])0[smh]$/, "$1");
    }
  }, 1000);

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    document.getElementById("find").select();
  });

  document.addEventListener("click", (event) => { if (event.target.closest("button[data-print]")) print(); });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // A view that hears nothing any more says so; once it hears again it has asked for what it missed.
  const lost = (text) => {
    const where = document.getElementById("lost");
    if (!where || where.textContent === text) return;
    where.className = text ? "note" : ""; where.textContent = text;
  };
  document.addEventListener("htmx:sse:error", (event) => lost(event.detail.status === 401
    ? "You are logged out: this is how it was. Load the page to log in again."
    : "Not live: the platform does not answer. This is how it was; trying again."));
  document.addEventListener("htmx:sse:after:connection", () => lost(""));

  // What takes a while says so, and is asked for once. A page that comes back by the browser's own button is as it was.
  document.addEventListener("submit", (event) => {
    const form = event.target, button = event.submitter;
    if (!form.dataset.busy || !button || "quiet" in button.dataset) return;
    const before = button.textContent;
    button.textContent = form.dataset.busy;
    form.setAttribute("aria-busy", "true");
    setTimeout(() => { button.disabled = true; });
    addEventListener("pageshow", () => { button.disabled = false; button.textContent = before; form.removeAttribute("aria-busy"); }, { once: true });
  });

  // Logs: lines come as text and stay text. Only the newest are kept, and they are written once a frame.
  const MOST = 5000, LONGEST = 4000;
  const plain = (text) => text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

  function follow(log) {
    let waiting = [], planned = false, many = false;
    const state = document.getElementById("log-state");
    const write = () => {
      planned = false;
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      const part = document.createDocumentFragment();
      for (const one of waiting.splice(0)) {
        const line = document.createElement("div");
        if (many) { const from = document.createElement("span"); from.className = "from"; from.textContent = plain(one.name) + "  "; line.append(from); }
        const cut = one.text.length > LONGEST ? one.text.slice(0, LONGEST) + " … " + (one.text.length - LONGEST) + " letters more" : one.text;
        const text = document.createElement("span");
        if (one.stream === "stderr") text.className = "stderr";
        text.textContent = plain(cut) || " ";
        line.append(text); line.title = one.time; part.append(line);
      }
      log.append(part);
      while (log.childElementCount > MOST) log.firstElementChild.remove();
      if (atEnd) log.scrollTop = log.scrollHeight;
    };
    const source = new EventSource(log.dataset.follow);
    // A connection that broke goes on behind the last line that came; where the server cannot, it begins anew.
    source.addEventListener("steps", (event) => { const said = JSON.parse(event.data); many = said.many; if (!said.resumed) { waiting = []; log.replaceChildren(); } state.textContent = "following"; });
    source.addEventListener("end", () => { source.close(); state.textContent = "ended"; });
    source.onmessage = (event) => {
      waiting.push(JSON.parse(event.data));
      if (waiting.length > MOST) waiting.shift();
      if (!planned) { planned = true; requestAnimationFrame(write); }
    };
    source.onerror = () => { if (source.readyState !== EventSource.CLOSED) state.textContent = "connecting again"; else state.textContent = "not connected"; };
  }

  function begin(root) {
    tellTimes(root);
    for (const one of root.querySelectorAll("[data-print]")) one.hidden = false;
    for (const log of root.querySelectorAll(".log[data-follow]:not([data-on])")) { log.dataset.on = "1"; follow(log); }
  }
  document.addEventListener("DOMContentLoaded", () => {
    begin(document);
    const nav = document.querySelector(".bar nav ul"), here = nav && nav.querySelector("[aria-current]");
    if (here && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = here.offsetLeft - nav.clientWidth / 2;
  });
  document.addEventListener("htmx:after:swap", () => begin(document));
})();
