/** The beginnings of real files: as short as they can be, or of any length where the rest does not matter. */

const bytes = (...parts: ReadonlyArray<string | ReadonlyArray<number> | Uint8Array>): Uint8Array =>
  new Uint8Array(
    Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part)))
  )

const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))

const bigEndian = (
  value: number
): ReadonlyArray<number> => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]

/** The first box of an MP4, HEIF or QuickTime file. */
const isoMedia = (brand: string, compatible: string): Uint8Array =>
  bytes(bigEndian(16 + compatible.length), "ftyp", brand, bigEndian(0), compatible, bigEndian(8), "free")

const ebml = (documentType: string): Uint8Array =>
  bytes(
    [0x1a, 0x45, 0xdf, 0xa3, 0x80 + 19 + documentType.length],
    [0x42, 0x86, 0x81, 1, 0x42, 0xf7, 0x81, 1, 0x42, 0xf2, 0x81, 4, 0x42, 0xf3, 0x81, 8],
    [0x42, 0x82, 0x80 + documentType.length],
    documentType,
    [0x18, 0x53, 0x80, 0x67, 0x01, 0, 0, 0, 0, 0, 0, 8]
  )

const ogg = (packet: string): Uint8Array =>
  bytes("OggS", [0, 2], new Uint8Array(20), [1, packet.length], packet, new Uint8Array(32))

/** A local file header whose content follows uncompressed; `size` may claim more than there is. */
const zipEntry = (name: string, content: string, size = content.length): Uint8Array =>
  bytes(
    "PK\x03\x04",
    [20, 0, 0, 0, 0, 0],
    new Uint8Array(8),
    [...bigEndian(size)].reverse(),
    [...bigEndian(size)].reverse(),
    [name.length, 0, 0, 0],
    name,
    content
  )

const contentTypes = (part: string): string =>
  `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/x" ContentType="${part}"/></Types>`

const office = "application/vnd.openxmlformats-officedocument"

/** Fills a file up to a length that is more than a detector looks at. */
const long = (head: Uint8Array): Uint8Array => bytes(head, new Uint8Array(10_000).fill(0x55))

const png = base64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

export const samples = {
  png,
  apng: bytes(png.subarray(0, 33), bigEndian(8), "acTL", bigEndian(1), bigEndian(0), bigEndian(0)),
  pngWithLargeProfile: long(bytes(png.subarray(0, 33), bigEndian(9000), "iCCP")),
  gif: base64("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
  jpeg: bytes([0xff, 0xd8, 0xff, 0xe0, 0, 16], "JFIF\0", [1, 1, 0, 0, 72, 0, 72, 0, 0], [0xff, 0xdb, 0, 0x43, 0]),
  webp: base64("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"),
  heic: isoMedia("heic", "mif1heic"),
  heif: isoMedia("mif1", "mif1heic"),
  avif: isoMedia("avif", "avifmif1miaf"),
  tiff: bytes("II*\0", [8, 0, 0, 0, 1, 0, 0, 1, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0]),
  tiffWithDirectoryAtTheEnd: long(bytes("MM\0*", bigEndian(1_000_000))),
  bmp: bytes("BM", [70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]),
  ico: bytes([0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0]),
  dicom: bytes(new Uint8Array(128), "DICM", [2, 0, 0, 0], "UL", [4, 0]),
  dicomInTiff: bytes("II*\0", [200, 0, 0, 0], new Uint8Array(120), "DICM", new Uint8Array(200)),
  dicomInProgram: bytes("MZ", new Uint8Array(126), "DICM", [2, 0, 0, 0], "UL", [4, 0]),
  mp4: isoMedia("isom", "isomiso2avc1mp41"),
  m4a: isoMedia("M4A ", "M4A mp42isom"),
  mov: isoMedia("qt  ", "qt  "),
  threeGp: isoMedia("3gp5", "3gp5isom"),
  webm: ebml("webm"),
  matroska: ebml("matroska"),
  ogg: ogg("\x01vorbis\0\0\0\0"),
  opus: ogg("OpusHead\x01\x01"),
  avi: bytes("RIFF", [0, 1, 0, 0], "AVI LIST", [0, 1, 0, 0], "hdrlavih"),
  wav: bytes("RIFF", [36, 0, 0, 0], "WAVEfmt ", [16, 0, 0, 0, 1, 0, 1, 0]),
  wavOver4GiB: bytes("RF64", [255, 255, 255, 255], "WAVEds64", [28, 0, 0, 0]),
  mp3: bytes([0xff, 0xfb, 0x90, 0x64], new Uint8Array(413)),
  mp3WithTag: bytes("ID3", [3, 0, 0, 0, 0, 0, 10], new Uint8Array(10), [0xff, 0xfb, 0x90, 0x64], new Uint8Array(413)),
  soundWithLargePicture: long(bytes("ID3", [3, 0, 0, 0, 0, 0x7f, 0x7f])),
  flac: bytes("fLaC", [0, 0, 0, 34, 16, 0, 16, 0]),
  aac: bytes([0xff, 0xf1, 0x50, 0x80, 0x03, 0x1f, 0xfc], new Uint8Array(100)),
  amr: bytes("#!AMR\n", [0x3c], new Uint8Array(31)),
  pdf: bytes("%PDF-1.7\n%", [0xe2, 0xe3, 0xcf, 0xd3], "\n1 0 obj\n"),
  pdfAfterBlankLine: bytes("\r\n%PDF-1.4\n"),
  pdfAfterByteOrderMark: bytes([0xef, 0xbb, 0xbf], "%PDF-1.4\n"),
  zip: zipEntry("notes.txt", "hello"),
  zipOfOneLargeFile: long(zipEntry("film.bin", "", 1_000_000_000)),
  docx: zipEntry("[Content_Types].xml", contentTypes(`${office}.wordprocessingml.document.main+xml`)),
  xlsx: zipEntry("[Content_Types].xml", contentTypes(`${office}.spreadsheetml.sheet.main+xml`)),
  docm: zipEntry("[Content_Types].xml", contentTypes("application/vnd.ms-word.document.macroEnabled.main+xml")),
  /** As LibreOffice writes it: what tells the kind is beyond the beginning. */
  docxOfLibreOffice: long(zipEntry("_rels/.rels", "", 20_000)),
  odt: zipEntry("mimetype", "application/vnd.oasis.opendocument.text"),
  jar: zipEntry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0"),
  doc: bytes([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], new Uint8Array(600)),
  rtf: bytes("{\\rtf1\\ansi hello}"),
  gzip: base64("H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="),
  program: bytes("MZ", [0x90, 0, 3, 0], new Uint8Array(200)),
  programOfUnix: bytes([0x7f], "ELF", [2, 1, 1], new Uint8Array(200)),
  programOfMac: bytes([0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1], new Uint8Array(200)),
  classOfJava: bytes([0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 65], new Uint8Array(200)),
  tableOfBmi: bytes("BMI;weight\n22.5;70\n"),
  textLikeProgram: bytes("MZ twins, dichorionic\n"),
  textLikeGif: bytes("GIF"),
  textLikeStream: bytes("G".repeat(300)),
  vcard: bytes("BEGIN:VCARD\nVERSION:4.0\n"),
  postScript: bytes("%!PS-Adobe-3.0 EPSF-3.0\n"),
  silence: bytes([0, 0, 1, 0], new Uint8Array(200)),
  html: bytes("<!doctype html><script>alert(1)</script>"),
  svg: bytes("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
  svgDeclared: bytes("<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
  script: bytes("alert(1)"),
  text: bytes("hello"),
  textUtf8: bytes([0xef, 0xbb, 0xbf], "<html>"),
  textUtf16: bytes([0xff, 0xfe], "<\0h\0t\0m\0l\0>\0"),
  gifThatIsAScript: bytes("GIF89a/*", new Uint8Array(20), "*/=0;alert(1)"),
  pngCutShort: png.subarray(0, 6)
} as const
