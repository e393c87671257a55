/** React Native: bundles from files or a server, drawn by onnxruntime-react-native. */
export {};
