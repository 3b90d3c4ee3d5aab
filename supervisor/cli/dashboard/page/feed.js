// Streams of the server that are open only while the page is seen: one that sleeps costs nothing.

export class Feed {
  // `onState` is told `connecting`, `live`, `paused`, `lost` (it is tried again) or `refused` (it is not).
  constructor(address, onEvent, onState = () => {}) {
    this.address = address;
    this.onEvent = onEvent;
    this.onState = onState;
    this.source = null;
    this.onVisibility = () => (document.hidden ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.onVisibility);
    this.onVisibility();
  }

  open() {
    if (this.source !== null) return;
    this.onState("connecting");
    const source = new EventSource(this.address);
    this.source = source;
    source.onmessage = (event) => {
      this.onState("live");
      this.onEvent(JSON.parse(event.data));
    };
    source.onerror = () => {
      const isOver = source.readyState === EventSource.CLOSED;
      this.onState(isOver ? "refused" : "lost");
    };
  }

  pause() {
    this.source?.close();
    this.source = null;
    this.onState("paused");
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.source?.close();
    this.source = null;
  }
}
