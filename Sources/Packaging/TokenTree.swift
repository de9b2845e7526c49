import CompileTime
import Glibc
import Support

/// The tree of a tokenizer's tokens as compiled programs read it in place; the layout is that of Runtime/grammar/vocabulary.h, and so is the code
/// that makes it. `tokenizer`: its blob; `rows`: of the model's head. The count is a multiple of 8.
public func tokenTree(of tokenizer: [UInt8], rows: Int) throws(Diagnostic) -> [UInt8] {
    guard let rows = UInt32(exactly: rows) else { throw .error("a vocabulary of \(rows) rows does not fit in 32 bits") }
    var tree: UnsafeMutablePointer<UInt8>?
    var count: UInt64 = 0
    var error = [CChar](repeating: 0, count: Int(LMMC_TOKEN_TREE_ERROR))
    guard lmmc_token_tree(tokenizer, UInt64(tokenizer.count), rows, &tree, &count, &error), let tree else {
        let message = pathText(error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
        throw .error("the tokens cannot be put in a tree: \(message)")
    }
    defer { free(tree) }
    return Array(UnsafeBufferPointer(start: tree, count: Int(count)))
}
