import Testing

@testable import Passes

@Test func commonSubexpressionsCases() throws { try checkCases(Pipeline.commonSubexpressions) }
