// ends: ok
uuid = "00000000-0000-7000-8000-000000000000";
data.uuid = uuid;
data.metadata.name = "victim_recipe";
function process(data) { DataIncr("mine"); Info("as somebody else"); }
