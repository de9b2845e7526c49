import Reference
import TestSupport

/// Sequences of different lengths in the slots of one program: fed in pieces beside each other, copied, cut back and begun anew.
struct SlotScript {
    /// The next rows of a slot.
    struct Piece {
        var slot: Int
        var tokens: [Int32]
        var wanted: StepRow.Wanted
    }

    enum Event {
        case feed([Piece])
        /// Slot `to` becomes what the first rows of `from` made of that.
        case copy(to: Int, from: Int, rows: Int)
        case cut(Int, rows: Int)
        case renew(Int)
    }

    /// What a slot has been fed when it was cut back, overwritten or begun anew, or at the end.
    struct Sequence {
        var tokens: [Int32] = []
        /// Rows whose logits were wanted, and which of all the script's wanted rows each is
        var wanted: [(row: Int, output: Int)] = []
    }

    /// What a script is drawn from.
    struct Shape {
        var slots = 4, context = 128
        /// Rows whose logits one feed may want
        var wantedRows = 64
        /// The rows of a prompt that comes at once, and of one that is fed beside others
        var prompts = 3...24
        var turns = 14
        var vocabulary: Int
        /// 0 where the model has none
        var visionRows: Int
    }

    private(set) var events: [Event] = []
    private(set) var sequences: [Sequence] = []
    private(set) var wantedCount = 0
    let shape: Shape
    private var random: SeededGenerator
    private var slots: [Sequence]

    init(seed: UInt64, _ shape: Shape) {
        self.shape = shape
        random = SeededGenerator(seed: seed &* 31 &+ 7)
        slots = Array(repeating: Sequence(), count: shape.slots)
        // Prompts first, so that the turns find something to go on from.
        feedPrompts(shape.slots - 1)
        for _ in 0..<shape.turns {
            switch roll(9) {
            case 0, 1: feedPrompts(1 + roll(shape.slots))
            case 2, 3: feedBeside()
            case 4: copy()
            case 5: cut()
            case 6 where roll(2) == 0: renew()
            default: feedRows()
            }
        }
        // Whatever came last, its rows are seen once more.
        feedRows()
        for slot in slots.indices { end(slot, keeping: []) }
    }

    private mutating func roll(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

    // MARK: - feeding

    private mutating func tokens(_ count: Int) -> [Int32] {
        var tokens = (0..<count).map { _ in Int32(3 + roll(shape.vocabulary - 3)) }
        if shape.visionRows > 0, count > 2, roll(3) == 0 {
            let images = min(count - 2, shape.visionRows)
            for row in 0..<images { tokens[1 + row] = Int32(-1 - row) }
        }
        return tokens
    }

    /// At most as many as the slot has room for, which is made where there is none.
    private mutating func next(_ slot: Int, _ count: Int) -> [Int32] {
        if slots[slot].tokens.count == shape.context { cut(slot, rows: roll(shape.context / 2)) }
        return tokens(min(count, shape.context - slots[slot].tokens.count))
    }

    private mutating func someSlots(_ count: Int) -> [Int] { Array(Array(0..<shape.slots).shuffled(using: &random).prefix(count)) }

    private mutating func prompt() -> Int { Int.random(in: shape.prompts, using: &random) }

    /// Whole prompts, one behind another.
    private mutating func feedPrompts(_ count: Int) {
        feed(someSlots(count).map { slot in Piece(slot: slot, tokens: next(slot, prompt()), wanted: wanted()) })
    }

    /// One row of each of several slots, in any order; at times with a second one.
    private mutating func feedRows() {
        for _ in 0..<1 + roll(3) {
            var pieces = someSlots(1 + roll(shape.slots)).map { slot in Piece(slot: slot, tokens: next(slot, 1), wanted: .last) }
            if roll(3) == 0, slots[pieces[0].slot].tokens.count + 2 <= shape.context {
                pieces.append(Piece(slot: pieces[0].slot, tokens: tokens(1), wanted: .last))
            }
            feed(pieces)
        }
    }

    /// A prompt in pieces beside single rows of the others: between any two pieces of one call rows of other slots may stand.
    private mutating func feedBeside() {
        let order = someSlots(shape.slots)
        var left = next(order[0], prompt())
        while !left.isEmpty {
            var pieces: [Piece] = []
            for slot in order.dropFirst() where roll(3) > 0 { pieces.append(Piece(slot: slot, tokens: next(slot, 1), wanted: .last)) }
            for _ in 0..<1 + roll(3) where !left.isEmpty {
                let count = min(left.count, 1 + roll(9))
                pieces.insert(
                    Piece(slot: order[0], tokens: Array(left.prefix(count)), wanted: wanted()), at: rollPlace(order[0], in: pieces))
                left.removeFirst(count)
            }
            feed(pieces)
        }
    }

    /// A place behind all pieces of the slot.
    private mutating func rollPlace(_ slot: Int, in pieces: [Piece]) -> Int {
        let first = (pieces.lastIndex { $0.slot == slot } ?? -1) + 1
        return first + roll(pieces.count - first + 1)
    }

    private mutating func wanted() -> StepRow.Wanted { [.none, .last, .last, .all][roll(4)] }

    private mutating func feed(_ pieces: [Piece]) {
        var (pieces, wants) = (pieces, 0)
        for (index, piece) in pieces.enumerated() {
            if piece.wanted == .all, piece.tokens.count > 12 { pieces[index].wanted = .last }
            let count = piece.tokens.count
            let rows = pieces[index].wanted == .all ? 0..<count : pieces[index].wanted == .last ? count - 1..<count : 0..<0
            wants += rows.count
            let start = slots[piece.slot].tokens.count
            for row in rows {
                slots[piece.slot].wanted.append((start + row, wantedCount))
                wantedCount += 1
            }
            slots[piece.slot].tokens += piece.tokens
            precondition(slots[piece.slot].tokens.count <= shape.context)
        }
        precondition(wants <= shape.wantedRows)
        events.append(.feed(pieces))
    }

    // MARK: - what else is done to slots

    /// The sequence that the slot has held is known, and it goes on from `tokens`.
    private mutating func end(_ slot: Int, keeping tokens: [Int32]) {
        if !slots[slot].wanted.isEmpty { sequences.append(slots[slot]) }
        slots[slot] = Sequence(tokens: tokens)
    }

    private mutating func copy() {
        let pair = someSlots(2)
        let rows = roll(slots[pair[1]].tokens.count + 1)
        events.append(.copy(to: pair[0], from: pair[1], rows: rows))
        end(pair[0], keeping: Array(slots[pair[1]].tokens.prefix(rows)))
    }

    private mutating func cut() {
        let slot = roll(shape.slots)
        cut(slot, rows: roll(slots[slot].tokens.count + 1))
    }

    private mutating func cut(_ slot: Int, rows: Int) {
        events.append(.cut(slot, rows: rows))
        end(slot, keeping: Array(slots[slot].tokens.prefix(rows)))
    }

    private mutating func renew() {
        let slot = roll(shape.slots)
        events.append(.renew(slot))
        end(slot, keeping: [])
    }
}

extension SlotScript.Sequence {
    /// The sequence for itself: pieces that end with its wanted rows.
    func pieces(slot: Int) -> [SlotScript.Piece] {
        var (pieces, start): ([SlotScript.Piece], Int) = ([], 0)
        for (row, _) in wanted {
            pieces.append(SlotScript.Piece(slot: slot, tokens: Array(tokens[start...row]), wanted: .last))
            start = row + 1
        }
        return pieces
    }
}
