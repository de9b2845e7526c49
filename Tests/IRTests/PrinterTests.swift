import IR
import Testing

@Suite struct PrinterTests {
    @Test func module() throws {
        var module = try soundModule()
        module.stage = .optimized
        module.functions.append(Function(name: "nothing", parameters: []))
        #expect(
            module.description == """
                module "sound" stage optimized {
                  symbol T <= 1024
                  symbol S <= 16
                  weight @w : f32[4, 4] = source "a.b" bf16[2, 8]
                  weight @v : f32[4, 4] = fold {
                    %x = add @w, @w : f32[4, 4]
                  }

                  state &n : i32[2]
                  state &c : f32[2, 16, 4]

                  func f(%x: f32[T, 4], %s: i32[T], %w: i32[S]) {
                    %q = matmul %x, @v : f32[T, 4]
                    %p = reserve &n, %s : i32[T]
                    cache_store &c, %q, %s, %p as store
                    %a = attention %q, &c, &c, slots %s, places %p {heads = 2, kv_heads = 2, scale = 1.0} : f32[T, 4]
                    %r = rotary %a, %s {head_size = 2, theta = 10.0} : f32[T, 4]
                    %g = gather_rows %r, %w : f32[S, 4]
                    return %g
                  }

                  func nothing() {
                    return
                  }
                }

                """)
    }

    @Test func labels() {
        let op = Op.matmul(Matmul(hasBias: true, hasAddend: true, activation: .quickGELU))
        let operation = Operation(name: "y", op: op, operands: [.value("x"), .weight("w"), .weight("b"), .value("z")], type: f32(T, 2))
        #expect(operation.description == "%y = matmul %x, @w, bias @b, addend %z {activation = quick_gelu} : f32[T, 2]")
        let addend = Operation(
            name: "y", op: .matmul(Matmul(hasAddend: true)), operands: [.value("x"), .weight("w"), .value("z")], type: f32(1, 2))
        #expect(addend.description == "%y = matmul %x, @w, addend %z : f32[1, 2]")
    }

    @Test func namesAreQuotedWhereTheyMust() {
        var module = Module(name: "a \"b\"\\\n\u{7F}\u{E9}")
        module.states["two words"] = f32(1)
        module.functions.append(
            Function(name: "", parameters: [Parameter(name: "plain_Name.0-1+2", type: i32(1)), Parameter(name: "a/b", type: i32(1))]))
        #expect(
            module.description == #"""
                module "a \"b\"\\\u{a}\u{7f}é" stage imported {

                  state &"two words" : f32[1]

                  func ""(%plain_Name.0-1+2: i32[1], %"a/b": i32[1]) {
                    return
                  }
                }

                """#)
    }

    @Test func attributes() {
        #expect(Attribute.floats([0.1, 1, 1e-5, 1e20]).description == "[0.1, 1.0, 1e-05, 1e+20]")
        #expect(Attribute.integers([]).description == "[]")
        #expect(Attribute.integer(-3).description == "-3")
    }
}
