"""Does a served engine compute what its checkpoint computes, and does it behave under load?"""
