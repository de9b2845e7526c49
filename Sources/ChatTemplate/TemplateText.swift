import Support

/// A chat template's text, and how its faults are told.
struct TemplateSource {
    /// UTF-8 with every line end as one newline, without the last one, as Jinja reads it.
    let bytes: [UInt8]
    let file: String
    /// Where each of `bytes` stands in the text as it was given; one more for its end.
    private let origins: [Int]

    init(_ text: String, file: String) {
        var bytes: [UInt8] = [], origins: [Int] = []
        let given = Array(text.utf8), newline = UInt8(ascii: "\n"), carriageReturn = UInt8(ascii: "\r")
        for (index, byte) in given.enumerated() {
            if byte == newline, index > 0, given[index - 1] == carriageReturn { continue }
            bytes.append(byte == carriageReturn ? newline : byte)
            origins.append(index)
        }
        if bytes.last == newline { bytes.removeLast() }
        origins.append(given.count)
        (self.bytes, self.origins, self.file) = (bytes, origins, file)
    }

    /// `problem`, a clause about the template, at its byte `offset`.
    func fault(_ problem: String, at offset: Int, expected: String? = nil) -> Diagnostic {
        .error("the chat template \(problem) at its byte \(origins[min(offset, origins.count - 1)])", at: .file(file), expected: expected)
    }
}

/// A text of which the user's words, unknown until the program runs, may be a part.
struct TemplateText: Equatable {
    enum Piece: Equatable {
        case literal(String)
        /// The user's words; white space at an end is cut off where it says so.
        case words(cutsStart: Bool, cutsEnd: Bool)
    }

    private(set) var pieces: [Piece] = []

    init(_ text: String) { append(.literal(text)) }
    init(_ pieces: [Piece]) { for piece in pieces { append(piece) } }

    static let words = TemplateText([.words(cutsStart: false, cutsEnd: false)])

    /// The text, unless the user's words are in it.
    var literal: String? {
        if pieces.isEmpty { return "" }
        guard pieces.count == 1, case .literal(let text) = pieces[0] else { return nil }
        return text
    }

    /// Bytes that it takes, about.
    var size: Int {
        pieces.reduce(0) { sum, piece in
            if case .literal(let text) = piece { sum + text.utf8.count } else { sum + 64 }
        }
    }

    /// The user's words count as not empty.
    var isEmpty: Bool { pieces.isEmpty }

    mutating func append(_ piece: Piece) {
        guard case .literal(let new) = piece else { return pieces.append(piece) }
        if new.isEmpty { return }
        guard case .literal(var text)? = pieces.last else { return pieces.append(piece) }
        // Without its second owner the text grows in place.
        pieces.removeLast()
        text += new
        pieces.append(.literal(text))
    }

    mutating func append(_ other: TemplateText) { for piece in other.pieces { append(piece) } }

    /// Without white space at the ends, as Python's `strip` has it.
    func trimmed(start: Bool = true, end: Bool = true) -> TemplateText {
        var pieces = pieces
        if start {
            while case .literal(let text)? = pieces.first {
                let rest = String(String.UnicodeScalarView(text.unicodeScalars.drop(while: isPythonSpace)))
                if rest.isEmpty { pieces.removeFirst() } else { pieces[0] = .literal(rest) }
                if !rest.isEmpty { break }
            }
            if case .words(_, let cutsEnd)? = pieces.first { pieces[0] = .words(cutsStart: true, cutsEnd: cutsEnd) }
        }
        if end {
            while case .literal(let text)? = pieces.last {
                let rest = withoutEnd(text, while: isPythonSpace)
                if rest.isEmpty { pieces.removeLast() } else { pieces[pieces.count - 1] = .literal(rest) }
                if !rest.isEmpty { break }
            }
            if case .words(let cutsStart, _)? = pieces.last { pieces[pieces.count - 1] = .words(cutsStart: cutsStart, cutsEnd: true) }
        }
        return TemplateText(pieces)
    }
}

/// The text without the code points at its end that `isCut` takes.
func withoutEnd(_ text: String, while isCut: (Unicode.Scalar) -> Bool) -> String {
    let scalars = text.unicodeScalars
    guard let last = scalars.lastIndex(where: { !isCut($0) }) else { return "" }
    return String(scalars[...last])
}

/// Where `wanted`, which is not empty, first stands in `bytes` from `start` on, in linear time (Knuth, Morris and Pratt).
func firstIndex(of wanted: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    // Element i is the length of the longest prefix of `wanted`, of at most i bytes, with which its first i + 1 bytes end.
    var border = [0], matched = 0
    func extended(_ matched: Int, by byte: UInt8) -> Int {
        var matched = matched
        while matched > 0, wanted[matched] != byte { matched = border[matched - 1] }
        return wanted[matched] == byte ? matched + 1 : 0
    }
    for byte in wanted.dropFirst() { border.append(extended(border[border.count - 1], by: byte)) }
    for place in start..<bytes.count {
        matched = extended(matched, by: bytes[place])
        if matched == wanted.count { return place + 1 - wanted.count }
    }
    return nil
}

/// Equality of code points: Swift's own takes texts of different bytes as equal.
func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

/// What Python's `str.isspace` holds for white space; Runtime/session/prompt.c has the same list.
func isPythonSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 9...13, 28...32, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
}
