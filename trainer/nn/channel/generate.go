package channel

//go:generate go -C gen run . -pkg channel -out ../channel_amd64.s -stubs ../stubs_amd64.go
