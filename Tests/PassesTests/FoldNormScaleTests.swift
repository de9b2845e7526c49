import Testing

@testable import Passes

@Test func foldNormScaleCases() throws { try checkCases(Pipeline.foldNormScale) }
