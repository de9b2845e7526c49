import Foundation
import Support
import TestSupport
import Testing

let goldens = repository + "/Tests/Golden"

/// The built `lmmc` beside the test bundle, or the one that the environment names.
let lmmcPath: String = {
    if let path = ProcessInfo.processInfo.environment["LMMC"] { return path }
    return URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "lmmc").path
}()

extension Scratch {
    /// A copy of a golden checkpoint that a test may damage.
    func checkpoint(_ name: String) throws -> String {
        let copy = self["checkpoint-\(name)"]
        try FileManager.default.copyItem(atPath: "\(goldens)/\(name)", toPath: copy)
        return copy
    }
}

/// Changes the elements, by index and value, of the bf16 tensors of a checkpoint's single file whose names fit; gives the number of tensors.
func editWeights(_ checkpoint: String, where fits: (String) -> Bool, _ change: (Int, Float) -> Float) throws -> Int {
    let url = URL(filePath: checkpoint + "/model.safetensors")
    var bytes = [UInt8](try Data(contentsOf: url))
    let start = 8 + Int(bytes[..<8].enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) })
    let header = try #require(try JSONSerialization.jsonObject(with: Data(bytes[8..<start])) as? [String: Any])
    var count = 0
    for (name, value) in header where fits(name) {
        guard let tensor = value as? [String: Any], let offsets = tensor["data_offsets"] as? [Int] else { continue }
        try #require(tensor["dtype"] as? String == "BF16", "\(name)")
        for (index, place) in stride(from: start + offsets[0], to: start + offsets[1], by: 2).enumerated() {
            let x = Float(bitPattern: UInt32(bytes[place]) << 16 | UInt32(bytes[place + 1]) << 24)
            let changed = change(index, x).bitPattern >> 16
            (bytes[place], bytes[place + 1]) = (UInt8(changed & 255), UInt8(changed >> 8))
        }
        count += 1
    }
    try Data(bytes).write(to: url)
    return count
}

func lmmc(_ arguments: String..., environment: [String: String] = [:], input: String = "") throws -> Run {
    try run([lmmcPath] + arguments, environment: environment, input: input)
}

/// Shape and 32-bit elements of a C-order little-endian .npy file of `type`.
private func numPyWords(_ path: String, type: String) throws -> (shape: [Int], words: [UInt32]) {
    let data = [UInt8](try Data(contentsOf: URL(filePath: path)))
    try #require(data.count > 10 && Array(data[..<8]) == [0x93] + Array("NUMPY".utf8) + [1, 0], "\(path) is not a .npy file")
    let length = Int(data[8]) | Int(data[9]) << 8
    let header = String(decoding: data[10..<10 + length], as: UTF8.self)
    try #require(header.contains("'\(type)'") && header.contains("'fortran_order': False"), "\(path): \(header)")
    let match = try #require(header.firstMatch(of: #/'shape': \(([0-9, ]*)\)/#))
    let shape = match.1.split(whereSeparator: { ", ".contains($0) }).compactMap { Int($0) }
    let body = data[(10 + length)...]
    try #require(body.count == shape.reduce(4, *), "\(path): \(body.count) bytes for \(shape)")
    let words = Array(body).withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self).littleEndian }
    }
    return (shape, words)
}

/// Lists of indices, i32, of a .npy file: a row each, without the -1 behind the last index.
struct NumPyIndices: Equatable {
    var rows: [[Int]]

    init(path: String) throws {
        let (shape, words) = try numPyWords(path, type: "<i4")
        let values = words.map { Int(Int32(bitPattern: $0)) }, columns = shape.last ?? 1
        rows = stride(from: 0, to: values.count, by: max(1, columns)).map { start in
            let row = values[start..<start + columns]
            return Array(row.prefix(1 + (row.lastIndex { $0 != -1 } ?? start - 1) - start))
        }
    }
}

/// A C-order little-endian float32 array of a .npy file.
struct NumPyArray {
    var shape: [Int]
    var values: [Float]

    init(path: String) throws {
        let (shape, words) = try numPyWords(path, type: "<f4")
        self.shape = shape
        values = words.map { Float(bitPattern: $0) }
    }

    var firstRow: NumPyArray {
        var row = self
        row.shape = [1] + shape.dropFirst()
        row.values = Array(values.prefix(row.shape.reduce(1, *)))
        return row
    }

    /// |self - other| / |other| over all elements.
    func relativeDistance(to other: NumPyArray) -> Double {
        guard shape == other.shape else { return .infinity }
        var difference = 0.0, norm = 0.0
        for (a, b) in zip(values, other.values) {
            difference += (Double(a) - Double(b)) * (Double(a) - Double(b))
            norm += Double(b) * Double(b)
        }
        return difference == 0 ? 0 : (difference / norm).squareRoot()
    }

    func largestDifference(to other: NumPyArray) -> Double {
        guard shape == other.shape else { return .infinity }
        return zip(values, other.values).reduce(0) { max($0, abs(Double($1.0) - Double($1.1))) }
    }
}

/// Each command line is refused with exit code 2 and one line that begins as it says, and prints nothing else.
func expectRefusals(_ cases: [([String], String)], sourceLocation: SourceLocation = #_sourceLocation) throws {
    for (arguments, wanted) in cases {
        let result = try run([lmmcPath] + arguments)
        #expect(result.status == 2, "\(arguments)", sourceLocation: sourceLocation)
        #expect(result.output == "", sourceLocation: sourceLocation)
        #expect(result.errors.hasPrefix(wanted), "\(result.errors)", sourceLocation: sourceLocation)
        #expect(result.errors.split(separator: "\n").count == 1, sourceLocation: sourceLocation)
    }
}
