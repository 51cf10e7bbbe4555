/** What the examples use of midi-writer-js, whose own types its package.json hides. */
declare module 'midi-writer-js' {
  /** A sequence of events. */
  class Track {
    addTrackName(name: string): void;
    setTempo(beatsPerMinute: number): void;
    setTimeSignature(numerator: number, denominator: number): void;
    addEvent(event: NoteEvent): void;
  }
  /** A note; a duration of `T128` is a quarter, 128 ticks. */
  class NoteEvent {
    constructor(options: { pitch: readonly number[]; duration: `T${number}`; velocity?: number });
  }
  /** Makes files of tracks. */
  class Writer {
    constructor(track: Track);
    buildFile(): Uint8Array<ArrayBuffer>;
  }
  const MidiWriter: { Track: typeof Track; NoteEvent: typeof NoteEvent; Writer: typeof Writer };
  export default MidiWriter;
}
