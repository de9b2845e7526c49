import IR
import Testing

@Suite struct AffineTests {
    private func affine(_ constant: Int, _ parts: (Int, Dimension)...) throws -> Dimension {
        var sum = Dimension(constant)
        for (factor, part) in parts {
            let term = try #require(part.multiplied(by: factor))
            sum = try #require(sum.adding(term))
        }
        return sum
    }

    @Test func sumsMeetSymbolBySymbol() throws {
        let sum = try affine(3, (2, T), (1, S), (-5, T))
        #expect(sum.constant == 3)
        #expect(sum.terms.map(\.symbol.name) == ["S", "T"])
        #expect(sum.terms.map(\.factor) == [1, -3])
        #expect(try sum.adding(affine(-3, (3, T))) == S)
        #expect(try affine(0, (1, T), (1, S)) == affine(0, (1, S), (1, T)))
        // A term that goes leaves a number.
        #expect(try affine(7, (2, T), (-2, T)) == 7)
        #expect(try affine(7, (2, T), (-2, T)).fixedValue == 7)
        #expect(T.fixedValue == nil && T.multiplied(by: 0) == 0)
    }

    @Test func products() throws {
        #expect(try affine(3, (2, T)).multiplied(by: -2) == affine(-6, (-4, T)))
        #expect(Dimension(0).multiplied(by: .min) == 0)
    }

    @Test func valuesAreExact() throws {
        let sum = try affine(1, (2, T), (-1, S))
        #expect(sum.value(SymbolValues(["T": 5, "S": 3])) == 8)
        #expect(sum.value(SymbolValues(["T": 0, "S": 3])) == -2)
        // What is not named makes the most: T is at most 1024, and S, which is taken away, at least 0.
        #expect(sum.value(SymbolValues(["S": 3])) == 2046)
        #expect(sum.value(SymbolValues(["T": 5])) == 11)
        #expect(sum.bound == 2049 && sum.value(.bounds) == 2049)
        #expect(sum.least == 1 - 16)
        #expect(Dimension(9).bound == 9 && Dimension(9).least == 9)
    }

    @Test func replacing() throws {
        let sum = try affine(1, (2, T), (-1, S))
        #expect(try sum.replacing(["T": 4]) == affine(9, (-1, S)))
        #expect(sum.replacing(["T": 4, "S": 2]) == 7)
        #expect(sum.replacing([:]) == sum && sum.replacing(["U": 1]) == sum)
        #expect(sum.replacing(["T": .max]) == nil)
    }

    @Test func overflowIsNil() throws {
        let top = Dimension(.max)
        #expect(top.adding(1) == nil && Dimension(.min).adding(-1) == nil && top.adding(-1) == Dimension(.max - 1))
        #expect(top.multiplied(by: 2) == nil && Dimension(.min).multiplied(by: -1) == nil)
        let steep = try affine(0, (.max, T))
        #expect(steep.adding(T) == nil && steep.multiplied(by: 2) == nil)
        #expect(steep.bound == nil && steep.least == 0 && steep.value(SymbolValues(["T": 1])) == .max)
        #expect(try affine(1, (.max, T)).value(SymbolValues(["T": 1])) == nil)
        #expect(try affine(0, (.min, T)).least == nil)
    }

    /// What is added stands before what is taken away, so that no text begins with a sign that a name may begin with.
    @Test func text() throws {
        let cases: [(Dimension, String)] = [
            (0, "0"), (12, "12"), (-12, "-12"), (T, "T"), (try affine(1, (2, T)), "2*T + 1"), (try affine(0, (1, T), (-1, S)), "T - S"),
            (try affine(20, (-1, T)), "20 - T"), (try affine(-1, (3, S), (1, T)), "3*S + T - 1"),
            (try affine(20, (1, T), (-2, S)), "T + 20 - 2*S"), (try affine(-4, (-1, T)), "-T - 4"),
            (try affine(.min, (.min, T)), "-9223372036854775808*T - 9223372036854775808"),
        ]
        for (dimension, text) in cases { #expect(dimension.description == text) }
        #expect(try affine(1, (2, T), (-1, S)).text { "\($1) * \($0)" } == "T * 2 + 1 - S")
    }

    @Test func symbolsHaveNamesOfTheText() {
        for name in ["T", "t", "rows_2", "Z9"] { #expect(Symbol.isName(name), "\(name)") }
        for name in ["", "2T", "_T", "T-S", "T.1", "T+", "two words", "é", "Té", "@", "[", "`", "{"] {
            #expect(!Symbol.isName(name), "\(name)")
        }
    }

    @Test func modulesDeclareTheirSymbols() {
        var module = Module(name: "m")
        #expect(module.declare("T", bound: 1024) == T && module.declare("S", bound: 16) == S)
        #expect(Array(module.symbols) == T.symbols + S.symbols)
    }
}
