/// Whether no letter of `text` carries more marks than any script needs (64; Unicode's own limit for streams is 30). Swift puts a letter's marks into
/// order whenever it hashes or compares, in time that grows with the square of their number, so texts of files are asked this first.
public func hasFewMarks(_ text: String) -> Bool {
    // Marks begin at U+0300, whose first byte this is.
    guard text.utf8.contains(where: { $0 >= 0xCC }) else { return true }
    var run = 0
    for scalar in text.unicodeScalars {
        run = scalar.value < 0x300 || scalar.properties.canonicalCombiningClass == .notReordered ? 0 : run + 1
        if run > 64 { return false }
    }
    return true
}
