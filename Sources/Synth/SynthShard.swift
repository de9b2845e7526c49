import Checkpoint
import Foundation
import Packaging
import Support
import Work

/// One safetensors file.
public struct SynthShard: Sendable {
    public var name = "model.safetensors"
    var tensors: [SynthTensor] = []

    static let limit = 5_000_000_000
    /// Elements that are made at a time, and that share one state of the generator.
    static let pieceElements = 1 << 20

    public var byteCount: Int { tensors.reduce(0) { $0 + $1.elementCount * 2 } }

    /// Files of about 5 GB in the tensors' order.
    public static func split(_ tensors: [SynthTensor]) -> [SynthShard] {
        var shards = [SynthShard()]
        for tensor in tensors {
            if shards[shards.count - 1].byteCount + tensor.elementCount * 2 > limit, !shards[shards.count - 1].tensors.isEmpty {
                shards.append(SynthShard())
            }
            shards[shards.count - 1].tensors.append(tensor)
        }
        if shards.count > 1 {
            for index in shards.indices {
                shards[index].name = String(format: "model-%05d-of-%05d.safetensors", index + 1, shards.count)
            }
        }
        return shards
    }

    static func index(_ shards: [SynthShard]) -> String {
        let map = shards.flatMap { shard in shard.tensors.map { ($0.name, JSONText.string(shard.name)) } }
        let total = JSONText.object([("total_size", .integer(shards.reduce(0) { $0 + $1.byteCount }))])
        return JSONText.object([("metadata", total), ("weight_map", .object(map))]).text(indent: 0) + "\n"
    }

    private var header: [UInt8] {
        var offset = 0
        var members: [(String, JSONText)] = [("__metadata__", .object([("format", "pt")]))]
        for tensor in tensors {
            let end = offset + tensor.elementCount * 2
            let shape = JSONText.array(tensor.shape.map { .integer($0) })
            members.append(
                (
                    tensor.name,
                    .object([("dtype", "F16"), ("shape", shape), ("data_offsets", .array([.integer(offset), .integer(end)]))])
                ))
            offset = end
        }
        return safetensorsHeader(members)
    }

    func writeHoles(_ path: String) throws(Diagnostic) {
        let header = header
        try writeFile(path, header)
        guard truncate(path, off_t(header.count + byteCount)) == 0 else { throw .system("write", path: path, code: errno) }
    }

    public func write(_ path: String, seed: UInt64, output: String, advance: @escaping @Sendable (Int) -> Void) throws(Diagnostic) {
        let number = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard number >= 0 else { throw .system("create", path: output, code: errno) }
        defer { close(number) }
        let file = StreamedFile(number, path: output)
        let header = header
        try file.write(header, at: 0)

        struct Piece {
            var tensor: Int, first: Int, count: Int, offset: Int
        }
        var pieces: [Piece] = []
        var offset = header.count
        for (index, tensor) in tensors.enumerated() {
            for first in stride(from: 0, to: tensor.elementCount, by: Self.pieceElements) {
                let count = min(Self.pieceElements, tensor.elementCount - first)
                pieces.append(Piece(tensor: index, first: first, count: count, offset: offset + first * 2))
            }
            offset += tensor.elementCount * 2
        }
        let work = pieces
        let tensors = tensors
        try inParallel(work.count, jobs: 2) { index throws(Diagnostic) in
            let piece = work[index], tensor = tensors[piece.tensor]
            let values = NormalValues(mean: tensor.mean, deviation: tensor.deviation)
            try file.write(values.halves(piece.count, seed: seed, stream: tensor.name, piece: piece.first), at: piece.offset)
            advance(piece.count * 2)
        }
        guard fsync(number) == 0 else { throw .system("write", path: output, code: errno) }
    }
}

/// Normal deviates in F16 through a table: 12 random bits choose one of 4096 equally probable values.
private struct NormalValues {
    private static let standard: [Double] = (0..<4096).map { quantile((Double($0) + 0.5) / 4096) }
    private let table: [UInt16]

    init(mean: Float, deviation: Float) {
        table = Self.standard.map { Float16(mean + deviation * Float($0)).bitPattern }
    }

    /// `count` values, the same for the same seed, stream and piece, whatever else is made.
    func halves(_ count: Int, seed: UInt64, stream: String, piece: Int) -> [UInt16] {
        var state = seed ^ 0xcbf2_9ce4_8422_2325
        for byte in stream.utf8 { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        state = mix(state &+ UInt64(piece))
        return [UInt16](unsafeUninitializedCapacity: (count + 3) / 4 * 4) { buffer, filled in
            table.withUnsafeBufferPointer { table in
                for index in stride(from: 0, to: count, by: 4) {
                    state &+= 0x9e37_79b9_7f4a_7c15
                    let bits = mix(state)
                    buffer[index] = table[Int(truncatingIfNeeded: bits & 0xFFF)]
                    buffer[index + 1] = table[Int(truncatingIfNeeded: bits >> 16 & 0xFFF)]
                    buffer[index + 2] = table[Int(truncatingIfNeeded: bits >> 32 & 0xFFF)]
                    buffer[index + 3] = table[Int(truncatingIfNeeded: bits >> 48 & 0xFFF)]
                }
            }
            filled = count
        }
    }

    /// splitmix64's output function.
    private func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// The inverse of the normal distribution function, by bisection: made 4096 times per run.
    private static func quantile(_ probability: Double) -> Double {
        var (low, high) = (-8.0, 8.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if 0.5 * erfc(-middle / 2.0.squareRoot()) < probability { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
