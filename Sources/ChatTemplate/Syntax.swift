/// An expression and the byte of the template where it begins.
struct Expression {
    indirect enum Kind {
        case constant(TemplateValue)
        case name(String)
        case list([Expression])
        case map([(key: Expression, value: Expression)])
        /// `a.name` or `a['name']`
        case member(Expression, Expression)
        case slice(Expression, start: Expression?, end: Expression?, step: Expression?)
        case call(Expression, Arguments)
        case filter(Expression, String, Arguments)
        case test(Expression, String, Arguments)
        case not(Expression)
        case negative(Expression)
        case arithmetic(Expression, String, Expression)
        /// Each operand is compared with the next one, as Python chains comparisons.
        case comparison(Expression, [(symbol: String, right: Expression)])
        case and(Expression, Expression)
        case or(Expression, Expression)
        case choice(condition: Expression, then: Expression, otherwise: Expression?)
    }

    var kind: Kind
    var offset: Int
}

struct Arguments {
    var positional: [Expression] = []
    var named: [(name: String, value: Expression)] = []
}

indirect enum Statement {
    case data(String, offset: Int)
    case print(Expression)
    case branch([(condition: Expression?, body: [Statement])])
    case loop(names: [String], Expression, filter: Expression?, body: [Statement], otherwise: [Statement])
    case set(names: [String], Expression)
    case setMember(String, member: String, Expression, offset: Int)
    case capture(String, [Statement], offset: Int)
    case `break`(offset: Int)
    case `continue`(offset: Int)

    /// The byte of the template where it begins, or what it evaluates first.
    var offset: Int {
        switch self {
        case .data(_, let offset), .setMember(_, _, _, let offset), .capture(_, _, let offset), .break(let offset), .continue(let offset):
            offset
        case .print(let expression), .set(_, let expression), .loop(_, let expression, _, _, _): expression.offset
        case .branch(let branches): branches[0].condition?.offset ?? 0
        }
    }
}
