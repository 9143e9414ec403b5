"""Does an endpoint compute what its checkpoint computes, and does it behave under load?"""
