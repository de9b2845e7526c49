import IR
import Support

/// A row of a call of `step`.
public struct StepRow: Hashable, Sendable {
    public var token: Int32
    public var slot: Int32
    public var position: Int32
    /// Its logits are wanted.
    public var isWanted: Bool

    public init(token: Int32, slot: Int32 = 0, position: Int32, isWanted: Bool) {
        self.token = token
        self.slot = slot
        self.position = position
        self.isWanted = isWanted
    }

    /// The tokens of one sequence from a position on; the logits of the last are wanted, or of all.
    public static func rows(_ tokens: [Int32], slot: Int32 = 0, at position: Int = 0, wanted: Wanted = .last) -> [StepRow] {
        tokens.enumerated().map { index, token in
            StepRow(
                token: token, slot: slot, position: Int32(position + index),
                isWanted: wanted == .all || wanted == .last && index == tokens.count - 1)
        }
    }

    public enum Wanted: Sendable { case none, last, all }
}

extension Evaluator {
    /// Runs `step` on these rows; the logits of the wanted ones, f32 [wanted, vocabulary], in their order. `visionRows` is for a module that
    /// takes them; of one that takes a list of protected rows as well, none is without it.
    public mutating func step(_ rows: [StepRow], visionRows: Tensor? = nil, protectedRows: [Int32] = []) throws(Diagnostic) -> Tensor {
        let wanted = rows.indices.filter { rows[$0].isWanted }.map { Int32($0) }
        func list(_ values: [Int32]) -> Tensor { Tensor(shape: [values.count], values) }
        let lists = [list(rows.map(\.token)), list(rows.map(\.slot)), list(rows.map(\.position)), list(wanted)]
        let parameters = module.function(.step)?.parameters.dropFirst(lists.count) ?? []
        var regions = parameters.isEmpty ? [] : [visionRows].compactMap(\.self)
        if let count = parameters.dropFirst().first?.type.fixedShape?.first {
            regions.append(list(protectedRows + Array(repeating: 0, count: max(0, count - protectedRows.count))))
        }
        return try call(EntryPoint.step.rawValue, lists + regions)[0]
    }

    /// Puts other contents in the place of a state: a cache that is copied or cut back, say.
    public mutating func setState(_ name: String, _ tensor: Tensor) throws(Diagnostic) {
        let present = try state(name)
        guard present.type == tensor.type else {
            throw .error("contents of type \(tensor.type) for the state '&\(name)'", expected: "\(present.type)")
        }
        states[name] = tensor
    }
}
