// ends: out_of_memory,error,crashed
function process() {
  const kept = [];
  for (;;) {
    const buffer = new ArrayBuffer(0, { maxByteLength: 1 << 26 });
    buffer.resize(1 << 26);
    kept.push(new Uint8Array(buffer).fill(1));
  }
}
