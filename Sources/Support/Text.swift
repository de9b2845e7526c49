import Glibc

/// `text` in single quotes, fit for a one-line message: control characters are escaped and the middle of a very
/// long name is left out.
public func quoted(_ text: String) -> String {
    let limit = 240
    let scalars = text.unicodeScalars
    guard scalars.count > limit else { return "'\(escapingControls(text))'" }
    let head = String(scalars.prefix(limit / 2)), tail = String(scalars.suffix(limit / 2))
    return "'\(escapingControls(head))...\(escapingControls(tail))'"
}

/// Whether a scalar must not reach a terminal or a page as it is: controls (ESC and C1 among them), line and paragraph separators, format
/// characters, which are invisible and may turn the order of what follows, and what stands for a byte of a path that is no UTF-8.
public func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7F }
    return switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: pathByte(scalar) != nil
    }
}

/// `text` on one line without anything that could drive a terminal: `\u{1b}`, and `\xe9` for a byte of a path that is no UTF-8.
public func escapingControls(_ text: String) -> String { escaping(text) { _ in false } }

/// The same for a text of several lines, which stay.
public func escapingControlsInLines(_ text: String) -> String { escaping(text) { $0 == "\n" } }

private func escaping(_ text: String, except isKept: (Unicode.Scalar) -> Bool) -> String {
    func isEscaped(_ scalar: Unicode.Scalar) -> Bool { isUnprintable(scalar) && !isKept(scalar) }
    guard text.unicodeScalars.contains(where: isEscaped) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case _ where !isEscaped(scalar): result.unicodeScalars.append(scalar)
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default: result += pathByte(scalar).map { "\\x" + String($0, radix: 16) } ?? "\\u{\(String(scalar.value, radix: 16))}"
        }
    }
    return result
}

/// `'a', 'b' or 'c'`, in the order given.
public func quotedList(_ names: some Sequence<String>, conjunction: String = "or") -> String {
    let items = names.map { quoted($0) }
    guard items.count > 1 else { return items.first ?? "" }
    return items.dropLast().joined(separator: ", ") + " \(conjunction) " + items[items.count - 1]
}

public func divisors(of number: Int, upTo limit: Int = .max) -> [Int] { (1...min(number, limit)).filter { number % $0 == 0 } }

/// `a divisor of the <what>: 1, 2, 4, ...`, at most 20 of them.
public func divisors(of number: Int, called what: String) -> String {
    let all = divisors(of: number, upTo: 1 << 16)
    return
        "a divisor of the \(what): \(all.prefix(20).map(String.init).joined(separator: ", "))\(all.count > 20 || number > 1 << 16 ? ", ..." : "")"
}

/// A byte count for people, in powers of 1024: `512 bytes`, `1.5 GiB`.
public func byteCountText(_ count: UInt64) -> String {
    guard count >= 1024 else { return count == 1 ? "1 byte" : "\(count) bytes" }
    var tenths = count.multipliedFullWidth(by: 10)
    for unit in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        let quotient = UInt64(1024).dividingFullWidth(tenths)
        // Rounded half up; a value that rounds to 1024.0 moves to the next unit.
        let rounded = quotient.quotient + (quotient.remainder >= 512 ? 1 : 0)
        if rounded < 10240 || unit == "EiB" {
            return rounded % 10 == 0 ? "\(rounded / 10) \(unit)" : "\(rounded / 10).\(rounded % 10) \(unit)"
        }
        tenths = (high: 0, low: quotient.quotient)
    }
    fatalError("unreachable: a 64-bit count is below 16 EiB")
}

/// The candidate nearest to `name` by edit distance, if any is near enough to be a slip of the hand.
public func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
    // No slip of the hand makes a name so long, and the distance takes the product of both lengths.
    guard name.utf8.count <= 256 else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates {
        let allowed = max(1, min(name.count, candidate.count) / 3)
        let distance = editDistance(name, candidate)
        if distance <= allowed, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
}

/// `; did you mean 'x'?` with the nearest of `candidates`, to stand behind an unknown name; empty when none is near.
public func nearestHint(to name: String, among candidates: some Sequence<String>) -> String {
    nearestName(to: name, among: candidates).map { "; did you mean \(quoted($0))?" } ?? ""
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment) that turn `a` into `b`.
func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a), b = Array(b)
    guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
    var before = [Int](), previous = Array(0...b.count)
    for i in 1...a.count {
        var current = [i]
        current.reserveCapacity(b.count + 1)
        for j in 1...b.count {
            var cost = min(
                previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, before[j - 2] + 1) }
            current.append(cost)
        }
        (before, previous) = (previous, current)
    }
    return previous[b.count]
}

/// The text of an `errno` value, lower case at the start as messages want it.
public func systemErrorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    // glibc's strerror_r for Swift is the POSIX one; strerror itself is not safe across threads.
    let status = strerror_r(code, &buffer, buffer.count)
    guard status == 0 else { return "error \(code)" }
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.prefix(1).lowercased() + text.dropFirst()
}
