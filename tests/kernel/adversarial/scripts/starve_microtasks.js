// ends: timeout
function process() { const again = () => { Promise.resolve().then(again); }; again(); }
